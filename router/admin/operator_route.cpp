#include "router/admin/operator_route.h"

#include <absl/strings/str_cat.h>

#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <exception>

#include "router/base/log.h"
#include "router/base/text.h"

namespace router::admin {
namespace {

Response run(const OperatorRoute& route, const Request& request) {
  try {
    return route.handler(request);
  } catch (const std::exception& error) {
    log::error(absl::StrCat("our bug: ", route.method, " ", route.path, " failed: ", error.what()));
    return error_response(500, "internal", "the router failed to answer; its log says why");
  }
}

std::string list_of(const std::vector<OperatorRoute>& routes) {
  std::string list;
  for (const OperatorRoute& route : routes)
    absl::StrAppend(&list, list.empty() ? "" : ", ", route.method, " ", route.path, route.below ? "/..." : "");
  return list;
}

bool is_for(const OperatorRoute& route, std::string_view path) {
  if (!route.below) return route.path == path;
  return path.starts_with(route.path) && path.substr(route.path.size()).starts_with('/');
}

}  // namespace

Response error_response(int status, std::string_view code, std::string_view message) {
  const boost::json::value body = {{"error", {{"code", code}, {"message", message}}}};
  return {status, "application/json", boost::json::serialize(body) + "\n"};
}

Response answer(const std::vector<OperatorRoute>& routes, const Request& request, bool has_origin, std::string& allow) {
  const std::string_view method = request.method == "HEAD" ? "GET" : request.method;
  for (const OperatorRoute& route : routes) {
    if (!is_for(route, request.path)) continue;
    if (route.method != method) {
      absl::StrAppend(&allow, allow.empty() ? "" : ", ", route.method, route.method == "GET" ? ", HEAD" : "");
      continue;
    }
    if (has_origin && method != "GET") return error_response(403, "forbidden", "not from a web page");
    return run(route, request);
  }
  if (!allow.empty()) return error_response(405, "method_not_allowed", absl::StrCat("use ", allow));
  return error_response(404, "not_found", absl::StrCat("there is no such path; the paths are: ", list_of(routes)));
}

}  // namespace router::admin
