#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace router::admin {

/// A request of an operator. The views are valid while the handler runs.
struct Request {
  std::string_view method;
  std::string_view path;
  std::string_view query;  // without `?`
  std::string_view body;
};

/// Makes an answer piece by piece, so that the control thread does its other work in between. Each call appends the next
/// piece, at most a millisecond of work, and returns false with the last one.
using Pieces = std::function<bool(std::string&)>;

struct Response {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
  Pieces pieces{};  // instead of `body`
};

/// One request that an operator may send. The handler runs on the control thread and must not block: nothing else runs there
/// meanwhile.
struct OperatorRoute {
  std::string method;  // `GET` answers HEAD too
  std::string path;
  std::function<Response(const Request&)> handler;
  bool below = false;  // for every path that begins with `path` and `/`, not for `path` itself
};

/// `{"error":{"code":…,"message":…}}`, like the local replies of the data path.
Response error_response(int status, std::string_view code, std::string_view message);

/// The route's answer, or 404, 405 (the allowed methods are in `allow`), 403, or 500 if the handler threw. Browsers may not
/// send requests that change something: otherwise a page that an operator visits could drain the router. A browser sends
/// `Origin` with every such request; tools do not.
Response answer(const std::vector<OperatorRoute>& routes, const Request& request, bool has_origin, std::string& allow);

}  // namespace router::admin
