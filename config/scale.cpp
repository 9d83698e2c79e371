#include "config/scale.h"

#include <algorithm>
#include <string_view>

#include "config/addresses.h"

namespace router::config {
namespace {

constexpr Range kInstances{0, 100'000};
constexpr std::int64_t kDaySeconds = kDayMs / 1000;
constexpr std::size_t kKindMax = 63;  // of Kubernetes: a kind in lower case is a DNS label

/// `group/version`, such as `apps/v1`.
bool is_api_version(std::string_view text) {
  const std::size_t slash = text.find('/');
  return slash != text.npos && is_dns_subdomain(text.substr(0, slash)) && is_dns_label(text.substr(slash + 1));
}

/// A kind of Kubernetes, such as `StatefulSet`.
bool is_kind(std::string_view text) {
  const auto is_upper = [](char c) { return c >= 'A' && c <= 'Z'; };
  const auto is_allowed = [&](char c) { return is_upper(c) || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  return !text.empty() && text.size() <= kKindMax && is_upper(text.front()) &&
         std::all_of(text.begin(), text.end(), is_allowed);
}

void read_target(MapReader& scaling, ScaleTarget& into) {
  std::optional<MapReader> target = scaling.map("target");
  if (!target) return;
  read_checked(*target, "api_version", is_api_version, "a group and a version of Kubernetes, such as apps/v1",
               into.api_version);
  read_checked(*target, "kind", is_kind, "a kind of Kubernetes, such as Deployment", into.kind);
  read_checked(*target, "name", is_dns_subdomain, "the name of an object of this namespace", into.name);
  target->finish();
}

}  // namespace

std::optional<AutoscalerMode> read_autoscaler(MapReader& map, const std::string& key) {
  constexpr AutoscalerMode kModes[] = {AutoscalerMode::kOff, AutoscalerMode::kObserve, AutoscalerMode::kAct,
                                       AutoscalerMode::kOff};
  const std::optional<std::size_t> mode = map.word(key, {"off", "observe", "act", "false"});
  return mode ? std::optional(kModes[*mode]) : std::nullopt;
}

std::optional<ScaleSettings> read_scale_settings(MapReader& document) {
  using Type = ScaleSettings::Type;
  constexpr Type kTypes[] = {Type::kDefault, Type::kTargetUtilization, Type::kTargetUtilization};
  std::optional<MapReader> scale = document.map("scale_settings");
  if (!scale) return std::nullopt;
  ScaleSettings settings;
  settings.type = kTypes[scale->word("type", {"default", "target_utilization", "TargetUtilization"}).value_or(1)];
  const std::optional<std::int64_t> least = scale->integer("min_instances", kInstances);
  const std::optional<std::int64_t> most = scale->integer("max_instances", kInstances);
  if (least && most && *least > *most) scale->mistake("min_instances", "is more than max_instances");
  const std::int64_t least_default = std::min<std::int64_t>(settings.min_instances, most.value_or(settings.max_instances));
  settings.min_instances = static_cast<int>(least.value_or(least_default));
  settings.max_instances = static_cast<int>(most.value_or(std::max(settings.min_instances, settings.max_instances)));
  scale->read("polling_interval", {1, kDaySeconds, "seconds"}, settings.polling_interval);
  scale->read("target_utilization_percentage", {1, 100, "percent"}, settings.target_utilization_percentage);
  scale->finish();
  return settings;
}

void read_scaling(MapReader& router, Scaling& into) {
  if (!router.is_resource()) {
    router.refuse("scaling",
                  "is for a Kubernetes resource, whose pods the autoscaler counts; in a file, replicas lists addresses, and "
                  "nothing scales them");
    return;
  }
  std::optional<MapReader> scaling = router.map("scaling");
  if (!scaling) return;
  into.autoscaler = read_autoscaler(*scaling, "autoscaler");
  read_target(*scaling, into.target);
  scaling->read("concurrency", {0, 1'000'000, "requests"}, into.concurrency);
  scaling->read("idle_time", {1, kDaySeconds, "seconds"}, into.idle_time);
  scaling->read("hold_ms", {0, kDayMs, "milliseconds"}, into.hold);
  if (const auto requests = scaling->integer("hold_requests", {0, 1'000'000, "requests"})) {
    into.hold_requests = static_cast<std::size_t>(*requests);
  }
  scaling->finish();
}

}  // namespace router::config
