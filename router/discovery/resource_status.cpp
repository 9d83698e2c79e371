#include "router/discovery/resource_status.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/value.hpp>
#include <map>
#include <optional>
#include <utility>

#include "config/findings.h"
#include "router/base/text.h"
#include "router/discovery/read_objects.h"
#include "router/kubernetes/json.h"

namespace router::discovery {
namespace {

namespace json = boost::json;
using Kind = ReconcileResult::Kind;

constexpr std::size_t kIgnoredShown = 20;    // keys in a message
constexpr std::size_t kDeploymentsTold = 5;  // deployments in a message

/// Cuts the text to kMessageBytes, at the end of a UTF-8 character.
std::string cut(std::string text) {
  constexpr std::string_view kMore = "…";
  if (text.size() <= kMessageBytes) return text;
  std::size_t end = kMessageBytes - kMore.size();
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end).append(kMore);
}

Condition make_condition(std::string_view type, bool holds, std::string_view why, std::string message) {
  return {type, holds, std::string(why), cut(std::move(message))};
}

std::string ignored_text(const std::vector<std::string>& keys) {
  if (keys.empty()) return "";
  const std::size_t told = std::min(keys.size(), kIgnoredShown);
  std::vector<std::string> shown;
  for (std::size_t i = 0; i < told; ++i) shown.push_back(config::shown(keys[i]));
  std::string text = "without effect here: " + absl::StrJoin(shown, ", ");
  if (told < keys.size()) absl::StrAppend(&text, " and ", keys.size() - told, " more");
  return text;
}

Condition accepted_condition(const ReconcileResult& result, const std::vector<std::string>& ignored) {
  std::string message = result.message.empty() && result.accepted ? "it is in force" : result.message;
  if (result.accepted && !ignored.empty()) absl::StrAppend(&message, "; ", ignored_text(ignored));
  return make_condition(condition::kAccepted, result.accepted, result.reason, std::move(message));
}

std::string count_text(std::size_t ready, std::size_t total) {
  return absl::StrCat(ready, " of ", total, total == 1 ? " replica is ready" : " replicas are ready");
}

Condition not_ready(std::string_view why, std::string message) {
  return make_condition(condition::kReady, false, why, std::move(message));
}

Condition not_accepted(const ReconcileResult& result) {
  return not_ready(reason::kNotAccepted,
                   result.served ? "the newest version is not accepted; the last good one serves" : "it is not accepted");
}

class Maker {
 public:
  Maker(const Cluster& cluster, const std::vector<ReconcileResult>& results, const PublicAddress& address,
        const AutoscaledConditions& autoscaled)
      : cluster_(cluster), results_(results), address_(address), autoscaled_(autoscaled) {
    for (const ReconcileResult& each : results) {
      if (each.kind == Kind::kDeployment && each.served) {
        deployments_[{each.namespace_name, lower_case(each.endpoint)}].push_back(&each);
      }
    }
  }

  std::vector<ResourceStatus> run() const {
    std::vector<ResourceStatus> statuses;
    statuses.reserve(results_.size());
    for (const ReconcileResult& each : results_) {
      statuses.push_back(each.kind == Kind::kEndpoint ? of_endpoint(each) : of_deployment(each));
    }
    return statuses;
  }

 private:
  using Deployments = std::vector<const ReconcileResult*>;

  static ResourceStatus begin(const ReconcileResult& result) {
    ResourceStatus status;
    status.kind = result.kind;
    status.key = {result.namespace_name, result.name};
    status.uid = result.uid;
    status.generation = result.generation;
    return status;
  }

  ResourceStatus of_endpoint(const ReconcileResult& result) const {
    static const config::EndpointDocument kNone;
    const auto found = cluster_.endpoints.find(ObjectKey{result.namespace_name, result.name});
    const bool has_good = found != cluster_.endpoints.end() && found->second.good.has_value();
    const config::EndpointDocument& document = has_good ? *found->second.good : kNone;
    const Deployments& deployments = deployments_of(result);

    ResourceStatus status = begin(result);
    for (const ReconcileResult* each : deployments) {
      status.replicas_ready += each->replicas_ready;
      status.replicas_total += each->replicas_total;
    }
    status.conditions.push_back(accepted_condition(result, document.endpoint.ignored_keys));
    status.conditions.push_back(endpoint_ready(result, document, deployments));
    status.conditions.push_back(endpoint_autoscaled(deployments));
    if (result.served) {
      status.scoring_uri = scoring_uri(document.endpoint, address_);
      status.traffic = traffic_text(result.traffic);
    }
    return status;
  }

  ResourceStatus of_deployment(const ReconcileResult& result) const {
    const config::Deployment* settings = settings_of(result);
    ResourceStatus status = begin(result);
    status.replicas_ready = result.replicas_ready;
    status.replicas_total = result.replicas_total;
    status.conditions.push_back(
        accepted_condition(result, settings != nullptr ? settings->ignored_keys : std::vector<std::string>()));
    status.conditions.push_back(deployment_ready(result, settings));
    status.conditions.push_back(deployment_autoscaled(result, settings));
    return status;
  }

  const Deployments& deployments_of(const ReconcileResult& endpoint) const {
    static const Deployments kNone;
    const auto found = deployments_.find(ObjectKey{endpoint.namespace_name, lower_case(endpoint.endpoint)});
    return endpoint.served && found != deployments_.end() ? found->second : kNone;
  }

  const config::Deployment* settings_of(const ReconcileResult& result) const {
    const auto found = cluster_.deployments.find(ObjectKey{result.namespace_name, result.name});
    return found != cluster_.deployments.end() && found->second.good ? &found->second.good->deployment : nullptr;
  }

  Condition endpoint_ready(const ReconcileResult& result, const config::EndpointDocument& document,
                           const Deployments& deployments) const {
    if (!result.accepted) return not_accepted(result);
    if (document.endpoint.auth_mode != config::AuthMode::kKey) {
      return not_ready(reason::kAuthModeUnsupported, "every request is answered with 401: tokens are not supported yet");
    }
    const auto secret = cluster_.secrets.find(ObjectKey{result.namespace_name, document.endpoint.keys_secret});
    if (secret == cluster_.secrets.end() || secret->second.keys.empty()) {
      return not_ready(reason::kNoKeys, absl::StrCat("every request is answered with 401: there is no key in the Secret ",
                                                     config::shown(document.endpoint.keys_secret)));
    }
    const int missing = wanted_traffic(document) - sum_of(result.traffic);
    if (missing > 0) {
      return not_ready(reason::kDeploymentsMissing,
                       absl::StrCat(missing, " % of the traffic is for deployments that are not there"));
    }
    if (sum_of(result.traffic) == 0) {
      return not_ready(reason::kNoTraffic, "no deployment has any of the traffic: only requests that name one are answered");
    }
    return traffic_ready(result, deployments);
  }

  static Condition traffic_ready(const ReconcileResult& result, const Deployments& deployments) {
    std::vector<std::string> without;
    for (const ReconcileResult* each : deployments) {
      const auto share = result.traffic.find(each->deployment);
      if (share == result.traffic.end() || share->second == 0 || each->replicas_ready > 0) continue;
      without.push_back(absl::StrCat(config::shown(each->deployment), " (", share->second, " % of the traffic)"));
    }
    if (without.empty()) {
      return make_condition(condition::kReady, true, reason::kReady, "every deployment that has traffic has a ready replica");
    }
    const std::size_t more = without.size() > kDeploymentsTold ? without.size() - kDeploymentsTold : 0;
    without.resize(without.size() - more);
    std::string message = "there is no ready replica of " + absl::StrJoin(without, ", ");
    if (more > 0) absl::StrAppend(&message, " and ", more, " more");
    return not_ready(reason::kNoReadyReplica, std::move(message));
  }

  static Condition deployment_ready(const ReconcileResult& result, const config::Deployment* settings) {
    if (!result.accepted) return not_accepted(result);
    const std::string counts = count_text(result.replicas_ready, result.replicas_total);
    if (result.replicas_ready > 0) return make_condition(condition::kReady, true, reason::kReady, counts);
    if (result.replicas_total > 0 || settings == nullptr) return not_ready(reason::kNoReadyReplica, counts);
    return not_ready(reason::kNoReadyReplica, no_pods_text(*settings));
  }

  static std::string no_pods_text(const config::Deployment& settings) {
    if (!settings.adopt_azureml_pods) {
      return absl::StrCat("there are no pods behind the Service ", config::shown(settings.service.name));
    }
    return absl::StrCat("there are no pods with the labels ", kEndpointLabel, "=", settings.endpoint_name, " and ",
                        kDeploymentLabel, "=", settings.name);
  }

  static bool wants_scaling(const config::Deployment* settings) {
    return settings != nullptr && settings->scale_settings &&
           settings->scale_settings->type == config::ScaleSettings::Type::kTargetUtilization;
  }
  static Condition not_autoscaled(std::string_view why, std::string message) {
    return make_condition(condition::kAutoscaled, false, why, std::move(message));
  }

  static Condition not_yet() {
    return not_autoscaled(reason::kNotYet,
                          "`scale_settings` have no effect yet: the cluster's own objects set the number of pods");
  }

  /// A new leader must not take back what the one before has said: it needs it itself.
  Condition shown_autoscaled(const ReconcileResult& result) const {
    const auto found = cluster_.deployments.find(ObjectKey{result.namespace_name, result.name});
    if (found == cluster_.deployments.end()) return not_yet();
    const json::object* shown = find_condition(found->second.status, condition::kAutoscaled);
    if (shown == nullptr) return not_yet();
    const std::string status = kubernetes::text_in(*shown, "status");
    Condition condition{condition::kAutoscaled, status == "True", kubernetes::text_in(*shown, "reason"),
                        cut(kubernetes::text_in(*shown, "message"))};
    condition.is_unknown = status == "Unknown";
    return condition.reason.empty() || condition.reason == reason::kNotConfigured ? not_yet() : condition;
  }

  Condition deployment_autoscaled(const ReconcileResult& result, const config::Deployment* settings) const {
    if (!wants_scaling(settings)) {
      const bool is_fixed = settings != nullptr && settings->scale_settings;
      return not_autoscaled(reason::kNotConfigured, is_fixed ? "its `scale_settings` have the type default: the number of pods "
                                                               "is not the router's to set"
                                                             : "it has no `scale_settings`");
    }
    const auto told = autoscaled_.find(ObjectKey{result.namespace_name, result.name});
    if (told == autoscaled_.end()) {
      return not_yet();
    }
    if (told->second.reason.empty()) return shown_autoscaled(result);
    Condition condition = told->second;
    condition.type = condition::kAutoscaled;
    condition.message = cut(std::move(condition.message));
    return condition;
  }

  Condition endpoint_autoscaled(const Deployments& deployments) const {
    std::optional<Condition> first;
    for (const ReconcileResult* each : deployments) {
      const config::Deployment* settings = settings_of(*each);
      if (!wants_scaling(settings)) continue;
      Condition of_it = deployment_autoscaled(*each, settings);
      of_it.message = cut(absl::StrCat(config::shown(each->deployment), ": ", of_it.message));
      if (!of_it.holds) return of_it;
      if (!first) first = std::move(of_it);
    }
    return first ? *first : not_autoscaled(reason::kNotConfigured, "no deployment of it has `scale_settings`");
  }

  static int sum_of(const std::map<std::string, int>& traffic) {
    int sum = 0;
    for (const auto& [name, percent] : traffic) sum += percent;
    return sum;
  }
  static int wanted_traffic(const config::EndpointDocument& document) {
    int sum = 0;
    for (const config::Share& each : document.traffic) sum += each.percent;
    return sum;
  }
  static std::string traffic_text(const std::map<std::string, int>& traffic) {
    std::string text;
    for (const auto& [name, percent] : traffic) {
      if (percent > 0) absl::StrAppend(&text, text.empty() ? "" : " ", name, "=", percent);
    }
    return text;
  }

  const Cluster& cluster_;
  const std::vector<ReconcileResult>& results_;
  const PublicAddress& address_;
  const AutoscaledConditions& autoscaled_;
  std::map<ObjectKey, Deployments> deployments_;  // by namespace and lower-case name of the endpoint
};

}  // namespace

std::vector<ResourceStatus> make_statuses(const Cluster& cluster, const std::vector<ReconcileResult>& results,
                                          const PublicAddress& address, const AutoscaledConditions& autoscaled) {
  return Maker(cluster, results, address, autoscaled).run();
}

const json::object* find_condition(const json::object& known, std::string_view type) {
  const json::value* conditions = known.if_contains("conditions");
  if (conditions == nullptr || !conditions->is_array()) return nullptr;
  for (const json::value& each : conditions->get_array()) {
    if (each.is_object() && kubernetes::text_in(each.get_object(), "type") == type) return &each.get_object();
  }
  return nullptr;
}

json::object status_object(const ResourceStatus& status, const json::object& known, const json::object& sent,
                           std::string_view now) {
  json::array conditions;
  for (const Condition& each : status.conditions) {
    const std::string_view holds = each.is_unknown ? "Unknown" : each.holds ? "True" : "False";
    const json::object* before = find_condition(known, each.type);
    if (before == nullptr) before = find_condition(sent, each.type);
    const bool stays = before != nullptr && kubernetes::text_in(*before, "status") == holds;
    std::string since = stays ? kubernetes::text_in(*before, "lastTransitionTime") : "";
    if (since.empty()) since = now;
    conditions.push_back(json::object{{"type", each.type},
                                      {"status", holds},
                                      {"observedGeneration", status.generation},
                                      {"lastTransitionTime", since},
                                      {"reason", each.reason},
                                      {"message", each.message}});
  }
  json::object object{{"conditions", std::move(conditions)},
                      {"observedGeneration", status.generation},
                      {"replicas", absl::StrCat(status.replicas_ready, "/", status.replicas_total)},
                      {"replicasReady", status.replicas_ready},
                      {"replicasTotal", status.replicas_total}};
  if (status.kind == Kind::kEndpoint) {
    object["scoringUri"] = status.scoring_uri;
    object["traffic"] = status.traffic;
  }
  return object;
}

json::object part_of(const json::object& known, const json::object& wanted) {
  json::object part;
  for (const auto& [key, value] : wanted) {
    if (const json::value* there = known.if_contains(key)) part[key] = *there;
  }
  const json::value* conditions = wanted.if_contains("conditions");
  if (conditions == nullptr) return part;
  json::array there;
  for (const json::value& each : conditions->as_array()) {
    const json::object* found = find_condition(known, kubernetes::text_in(each.as_object(), "type"));
    if (found != nullptr) there.push_back(*found);
  }
  part["conditions"] = std::move(there);
  return part;
}

}  // namespace router::discovery
