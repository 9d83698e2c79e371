#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace router::admin {

/// What an operator asked. Views that last as long as the handler runs.
struct Request {
  std::string_view method;
  std::string_view path;
  std::string_view query;  // without `?`
  std::string_view body;
};

/// An answer that is made piece by piece, so that control does its other work in between: appends the next piece, of at most a
/// millisecond of work; false: it was the last one.
using Pieces = std::function<bool(std::string&)>;

struct Response {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
  Pieces pieces{};  // instead of `body`
};

/// One thing that an operator may ask for. The handler runs on the control thread and must not wait long: nothing else runs
/// there meanwhile.
struct OperatorRoute {
  std::string method;  // `GET` answers HEAD too
  std::string path;
  std::function<Response(const Request&)> handler;
};

/// `{"error":{"code":…,"message":…}}`, like the local replies of the data path.
Response error_response(int status, std::string_view code, std::string_view message);

/// The route's answer, or 404, 405 with the methods there are (in `allow`), 403, or 500 if the handler threw.
/// What changes something is refused to browsers: a page that an operator visits could else drain the router through them
/// (a browser sends `Origin` with every such request; tools do not).
Response answer(const std::vector<OperatorRoute>& routes, const Request& request, bool has_origin, std::string& allow);

}  // namespace router::admin
