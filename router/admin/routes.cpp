#include "router/admin/routes.h"

#include <absl/strings/str_join.h>
#include <absl/strings/str_split.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <utility>

#include "router/metrics/registry.h"

namespace router::admin {
namespace {

namespace json = boost::json;

Response json_response(int status, const json::object& body) {
  return {status, "application/json", json::serialize(body) + "\n"};
}

Response health(const std::vector<std::string>& hanging) {
  if (hanging.empty()) return {200, "text/plain", "ok\n"};
  return {503, "text/plain", absl::StrJoin(hanging, "\n") + "\n"};
}

Response readiness(const std::vector<std::string>& not_ready) {
  if (not_ready.empty()) return json_response(200, {{"ready", true}});
  return json_response(503, {{"ready", false}, {"reasons", json::array(not_ready.begin(), not_ready.end())}});
}

Response reloaded(const absl::StatusOr<std::uint64_t>& generation) {
  if (generation.ok()) return json_response(200, {{"generation", *generation}});
  if (absl::IsResourceExhausted(generation.status())) {
    return error_response(503, "memory_is_short", "the old configuration stays in force; the new one is read again soon");
  }
  const bool wrong_time = absl::IsFailedPrecondition(generation.status());
  json::array mistakes;
  for (const absl::string_view line : absl::StrSplit(generation.status().message(), '\n', absl::SkipWhitespace())) {
    mistakes.push_back(json::string(line.data(), line.size()));
  }
  const json::object error{{"code", wrong_time ? "configuration_conflict" : "configuration_invalid"},
                           {"message", "the new configuration was refused; the old one stays in force"},
                           {"mistakes", std::move(mistakes)}};
  return json_response(wrong_time ? 409 : 422, {{"error", error}});
}

/// The member stands in `?member=` as it is, or in the body.
Response forgotten(const Request& request, const std::function<absl::Status(const std::string&)>& forget) {
  constexpr std::string_view kMember = "member=";
  std::string_view member = request.query.starts_with(kMember) ? request.query.substr(kMember.size()) : request.body;
  while (!member.empty() && (member.back() == '\n' || member.back() == '\r')) member.remove_suffix(1);
  if (member.empty())
    return error_response(400, "bad_request", "?member= or a body with the id or address of a member is expected");
  const absl::Status done = forget(std::string(member));
  if (done.ok()) return json_response(202, {{"forgotten", member}});
  const std::string why(done.message());
  return absl::IsNotFound(done) ? error_response(404, "not_found", why) : error_response(400, "bad_request", why);
}

constexpr const char* kScaling = "/scaling";

Response demand(const Request& request, const std::function<std::optional<std::string>(std::string_view)>& scaling) {
  const std::optional<std::string> known = scaling(request.path.substr(std::string_view(kScaling).size() + 1));
  if (known) return {200, "application/json", *known};
  return error_response(
      404, "not_found",
      "no such deployment is scaled: the path is /scaling/NAMESPACE/ENDPOINT/DEPLOYMENT, the deployment needs "
      "scale_settings of type target_utilization, and the autoscaler may not be off");
}

}  // namespace

std::vector<OperatorRoute> observe_routes(ObserveSources sources) {
  return {
      {"GET", "/metrics",
       [metrics = std::move(sources.metrics)](const Request&) {
         return Response{200, metrics::Registry::kContentType, {}, metrics()};
       }},
      {"GET", "/healthz", [hanging = std::move(sources.hanging)](const Request&) { return health(hanging()); }},
      {"GET", "/readyz", [not_ready = std::move(sources.not_ready)](const Request&) { return readiness(not_ready()); }},
      {"GET", kScaling, [scaling = std::move(sources.scaling)](const Request& request) { return demand(request, scaling); },
       true},
  };
}

std::vector<OperatorRoute> admin_routes(AdminActions actions) {
  return {
      {"GET", "/status",
       [status = std::move(actions.status)](const Request&) {
         return Response{200, "application/json", status()};
       }},
      {"POST", "/drain",
       [drain = std::move(actions.drain)](const Request&) {
         drain();
         return json_response(202, {{"draining", true}});
       }},
      {"POST", "/fleet/forget",
       [forget = std::move(actions.forget)](const Request& request) { return forgotten(request, forget); }},
      {"POST", "/reload", [reload = std::move(actions.reload)](const Request&) { return reloaded(reload()); }},
  };
}

}  // namespace router::admin
