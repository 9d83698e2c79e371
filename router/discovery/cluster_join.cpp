#include "router/discovery/cluster_join.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "config/addresses.h"
#include "config/findings.h"
#include "router/base/text.h"
#include "router/discovery/own_service.h"

namespace router::discovery {
namespace {

using config::shown;
using Kind = ReconcileResult::Kind;

template <class Document>
using Entry = std::pair<const ObjectKey, CustomResource<Document>>;
using EndpointEntry = Entry<config::EndpointDocument>;
using DeploymentEntry = Entry<config::DeploymentDocument>;

template <class Document>
ReconcileResult begin_result(Kind kind, const Entry<Document>& entry) {
  ReconcileResult result;
  result.kind = kind;
  result.namespace_name = entry.first.namespace_name;
  result.name = entry.first.name;
  result.uid = entry.second.uid;
  result.generation = entry.second.generation;
  return result;
}

void refuse(ReconcileResult& result, std::string_view why, std::string message) {
  result.accepted = result.served = false;
  result.reason = why;
  result.message = std::move(message);
}

/// Records that the resource is accepted with a restriction. The result keeps the first reason and all messages.
void note(ReconcileResult& result, std::string_view why, const std::string& message) {
  if (result.reason.empty()) result.reason = why;
  absl::StrAppend(&result.message, result.message.empty() ? "" : "; ", message);
}

/// The last good version is served. If `refused` is not empty, the newest version is not accepted.
void accept(ReconcileResult& result, const std::string& refused) {
  result.served = true;
  result.accepted = refused.empty();
  if (!refused.empty()) {
    result.reason = reason::kInvalid;
    result.message = absl::StrCat("the last good version stays in force: ", refused);
  } else if (result.reason.empty()) {
    result.reason = reason::kAccepted;
  }
}

template <class Document>
bool older(const Entry<Document>* a, const Entry<Document>* b) {
  return std::tie(a->second.created, a->first) < std::tie(b->second.created, b->first);
}

template <class Document>
std::vector<const Entry<Document>*> oldest_first(const std::map<ObjectKey, CustomResource<Document>>& all) {
  std::vector<const Entry<Document>*> sorted;
  sorted.reserve(all.size());
  for (const Entry<Document>& each : all) sorted.push_back(&each);
  std::sort(sorted.begin(), sorted.end(), older<Document>);
  return sorted;
}

/// `pattern` is a host name, or `*.` and the end of one; the star stands for one or more labels. Both are in lower case.
bool matches(std::string_view hostname, std::string_view pattern) {
  if (!pattern.starts_with("*.")) return hostname == pattern;
  pattern.remove_prefix(1);
  return hostname.size() > pattern.size() && hostname.ends_with(pattern);
}

/// The host of `https://host:port`, in lower case.
std::string host_of(std::string_view url) {
  const std::size_t scheme = url.find("://");
  if (scheme != url.npos) url.remove_prefix(scheme + 3);
  return lower_case(url.substr(0, url.find_first_of(":/")));
}

/// Whether `hostname` can be the name of a Service of the namespace within the cluster: `name`, `name.namespace_name`,
/// `name.namespace_name.svc…`.
bool is_service_of(const std::string& namespace_name, std::string_view hostname) {
  const std::size_t dot = hostname.find('.');
  if (dot == hostname.npos) return true;
  const std::string_view domain = hostname.substr(dot + 1);
  const std::string services = absl::StrCat(namespace_name, ".svc");
  return !namespace_name.empty() && (domain == namespace_name || domain == services || domain.starts_with(services + "."));
}

bool allows(const config::NamespaceRules& rules, const std::string& hostname) {
  return std::any_of(rules.hostnames->begin(), rules.hostnames->end(),
                     [&](const std::string& pattern) { return matches(hostname, lower_case(pattern)); });
}

class Join {
 public:
  Join(const Cluster& cluster, const config::Kubernetes& rules, const std::string& namespace_name, const TakenNames& taken)
      : cluster_(cluster), rules_(rules), namespace_name_(namespace_name), own_(taken.own) {
    for (const std::string& name : taken.endpoints) names_.emplace(name, "a file");
    for (const std::string& name : taken.hostnames) hostnames_.emplace(name, "a file");
  }

  Joined run() {
    for (const EndpointEntry* each : oldest_first(cluster_.endpoints)) {
      if (is_served(each->first.namespace_name)) admit(*each);
    }
    for (const DeploymentEntry* each : oldest_first(cluster_.deployments)) {
      if (is_served(each->first.namespace_name)) place(*each);
    }
    for (Admitted& each : admitted_) finish(each);
    return std::move(joined_);
  }

 private:
  /// An endpoint that is admitted, while its deployments are collected.
  struct Admitted {
    const EndpointEntry* entry;
    config::Endpoint endpoint;
    ReconcileResult result;
    std::map<std::string, std::pair<std::size_t, std::string>> by_name;  // lower case: deployment's index, object's name
  };

  bool is_served(const std::string& namespace_name) const {
    return rules_.namespaces.empty() || rules_of(namespace_name) != nullptr;
  }
  const config::NamespaceRules* rules_of(const std::string& namespace_name) const {
    const auto found = std::find_if(rules_.namespaces.begin(), rules_.namespaces.end(),
                                    [&](const config::NamespaceRules& each) { return each.name == namespace_name; });
    return found == rules_.namespaces.end() ? nullptr : &*found;
  }

  void admit(const EndpointEntry& entry) {
    ReconcileResult result = begin_result(Kind::kEndpoint, entry);
    result.endpoint = entry.first.name;  // an OnlineEndpoint's object has the endpoint's name
    if (!entry.second.good) {
      refuse(result, entry.second.dropped ? reason::kLimitExceeded : reason::kInvalid, entry.second.refused);
    } else {
      check_amounts(entry, ++amounts_[entry.first.namespace_name].endpoints, rules_.per_namespace.max_endpoints,
                    "OnlineEndpoints", result);
      if (result.reason.empty()) check_rules(rules_of(entry.first.namespace_name), entry, result);
      if (result.reason.empty()) check_conflicts(entry, result);
    }
    if (!result.reason.empty()) {
      refused_.insert(ObjectKey{entry.first.namespace_name, lower_case(result.endpoint)});
      joined_.results.push_back(std::move(result));
      return;
    }
    const config::Endpoint& endpoint = entry.second.good->endpoint;
    const std::string name = lower_case(endpoint.name);
    names_.emplace(name, owner(entry));
    for (const std::string& hostname : endpoint.hostnames) hostnames_.emplace(hostname, owner(entry));
    by_name_.emplace(ObjectKey{entry.first.namespace_name, name}, admitted_.size());
    admitted_.push_back({&entry, endpoint, std::move(result), {}});
  }

  /// Counts the entry's bytes. Refuses the entry if its namespace is above its limits.
  template <class Document>
  void check_amounts(const Entry<Document>& entry, std::size_t count, std::size_t count_max, const char* what,
                     ReconcileResult& result) {
    Amounts& amounts = amounts_[entry.first.namespace_name];
    if (count > count_max) {
      return refuse(
          result, reason::kLimitExceeded,
          absl::StrCat("this namespace has more than ", count_max, " ", what, " (kubernetes.per_namespace); the oldest serve"));
    }
    const std::uint64_t bytes_max = rules_.per_namespace.max_bytes;
    if (amounts.bytes + entry.second.bytes > bytes_max) {
      return refuse(result, reason::kLimitExceeded,
                    absl::StrCat("the resources of this namespace are larger than ", bytes_max,
                                 " bytes together (kubernetes.per_namespace.max_bytes); the oldest serve"));
    }
    amounts.bytes += entry.second.bytes;
  }

  static std::string owner(const EndpointEntry& entry) {
    return absl::StrCat("OnlineEndpoint ", entry.first.namespace_name, "/", entry.first.name);
  }

  /// `rules` is nullptr if the namespace has none.
  void check_rules(const config::NamespaceRules* rules, const EndpointEntry& entry, ReconcileResult& result) const {
    const config::Endpoint& endpoint = entry.second.good->endpoint;
    if (rules != nullptr && !lower_case(endpoint.name).starts_with(rules->prefix)) {
      return refuse(result, reason::kNameNotAllowed,
                    absl::StrCat("names of endpoints in this namespace begin with ", shown(rules->prefix)));
    }
    for (const std::string& hostname : endpoint.hostnames) {
      const bool listed = rules != nullptr && rules->hostnames;
      if (listed ? allows(*rules, hostname) : !is_own(hostname)) continue;
      return refuse(
          result, reason::kHostnameNotAllowed,
          absl::StrCat("this namespace may not claim the host name ", shown(hostname),
                       is_own(hostname) ? ", which is the router's own (kubernetes.namespaces[].hostnames can allow it)" : ""));
    }
  }

  /// Whether clients can reach all endpoints by this name. An endpoint that claimed it would get the requests of all others.
  bool is_own(const std::string& hostname) const {
    return hostname == host_of(rules_.public_url) || hostname == lower_case(rules_.ssl_cname) ||
           config::is_ip_address(hostname) || is_service_of(namespace_name_, hostname) ||
           std::any_of(own_.begin(), own_.end(), [&](const std::string& own) { return is_named_by(hostname, own); });
  }

  void check_conflicts(const EndpointEntry& entry, ReconcileResult& result) const {
    const config::Endpoint& endpoint = entry.second.good->endpoint;
    if (const auto other = names_.find(lower_case(endpoint.name)); other != names_.end()) {
      return refuse(result, reason::kNameConflict,
                    absl::StrCat("the endpoint ", shown(endpoint.name), " is described by ", other->second));
    }
    for (const std::string& hostname : endpoint.hostnames) {
      const auto other = hostnames_.find(hostname);
      if (other == hostnames_.end()) continue;
      return refuse(result, reason::kHostnameConflict,
                    absl::StrCat("the host name ", shown(hostname), " is claimed by ", other->second));
    }
  }

  void place(const DeploymentEntry& entry) {
    ReconcileResult result = begin_result(Kind::kDeployment, entry);
    if (entry.second.good) {
      check_amounts(entry, ++amounts_[entry.first.namespace_name].deployments, rules_.per_namespace.max_deployments,
                    "OnlineDeployments", result);
    }
    if (!result.reason.empty()) {
      result.endpoint = entry.second.good->deployment.endpoint_name;
      result.deployment = entry.second.good->deployment.name;
    } else if (!entry.second.good) {
      refuse(result, entry.second.dropped ? reason::kLimitExceeded : reason::kInvalid, entry.second.refused);
    } else {
      const config::Deployment& deployment = entry.second.good->deployment;
      result.endpoint = deployment.endpoint_name;
      result.deployment = deployment.name;
      const auto endpoint = by_name_.find(ObjectKey{entry.first.namespace_name, lower_case(deployment.endpoint_name)});
      if (endpoint == by_name_.end()) {
        refuse_without_endpoint(entry, result);
      } else if (deployment.adopt_azureml_pods && !rules_.adopt_azureml_pods) {
        refuse(result, reason::kAdoptionNotAllowed,
               "adoptAzureMLPods has no effect: this router reads no pods; set kubernetes.adopt_azureml_pods to true in its "
               "router.yaml and allow it the verbs list and watch on pods, or name a Service under service");
      } else {
        put_under(admitted_[endpoint->second], entry, result);
      }
    }
    joined_.results.push_back(std::move(result));
  }

  static void put_under(Admitted& endpoint, const DeploymentEntry& entry, ReconcileResult& result) {
    const config::Deployment& deployment = entry.second.good->deployment;
    const auto index = std::make_pair(endpoint.endpoint.deployments.size(), entry.first.name);
    const auto [place, fresh] = endpoint.by_name.emplace(lower_case(deployment.name), index);
    if (!fresh) {
      return refuse(result, reason::kNameConflict,
                    absl::StrCat("the deployment ", shown(deployment.name), " of the endpoint ",
                                 shown(deployment.endpoint_name), " is described by OnlineDeployment ", place->second.second));
    }
    endpoint.endpoint.deployments.push_back(deployment);
    endpoint.endpoint.deployments.back().endpoint_name = endpoint.endpoint.name;  // in the endpoint's own spelling
    accept(result, entry.second.refused);
  }

  void refuse_without_endpoint(const DeploymentEntry& entry, ReconcileResult& result) const {
    const std::string& name = entry.second.good->deployment.endpoint_name;
    if (refused_.contains(ObjectKey{entry.first.namespace_name, lower_case(name)})) {
      return refuse(result, reason::kEndpointNotAccepted, absl::StrCat("the endpoint ", shown(name), " is not accepted"));
    }
    refuse(result, reason::kEndpointNotFound,
           absl::StrCat("this namespace has no OnlineEndpoint that describes the endpoint ", shown(name)));
  }

  void finish(Admitted& admitted) {
    const config::EndpointDocument& document = *admitted.entry->second.good;
    config::Endpoint& endpoint = admitted.endpoint;
    ReconcileResult& result = admitted.result;
    take_keys(admitted);
    std::vector<std::string> missing;
    endpoint.traffic = assign(admitted, document.traffic, missing);
    endpoint.mirror_traffic = assign(admitted, document.mirror_traffic, missing);
    if (!missing.empty()) {
      note(result, reason::kDeploymentsMissing,
           absl::StrCat("there is no deployment ", absl::StrJoin(missing, ", "),
                        " of this endpoint in its namespace, so its share ", "of the traffic is answered with 404"));
    }
    result.traffic = endpoint.traffic;
    accept(result, admitted.entry->second.refused);
    joined_.endpoints.push_back(std::move(endpoint));
    joined_.results.push_back(std::move(result));
  }

  void take_keys(Admitted& admitted) {
    config::Endpoint& endpoint = admitted.endpoint;
    endpoint.keys.clear();
    if (endpoint.auth_mode != config::AuthMode::kKey) {
      return note(admitted.result, reason::kAuthModeUnsupported,
                  "tokens are not supported yet: the endpoint stays closed and answers every request with 401; use key");
    }
    const std::string closed = "nobody can score: every request is answered with 401";
    std::set<std::string>& named = amounts_[endpoint.namespace_name].secrets;
    if (!named.contains(endpoint.keys_secret) && named.size() >= rules_.per_namespace.max_secrets) {
      endpoint.keys_secret.clear();
      return note(admitted.result, reason::kLimitExceeded,
                  absl::StrCat("the endpoints of this namespace name more than ", rules_.per_namespace.max_secrets,
                               " Secrets (kubernetes.per_namespace.max_secrets), so ", closed));
    }
    named.insert(endpoint.keys_secret);
    const auto secret = cluster_.secrets.find(ObjectKey{admitted.entry->first.namespace_name, endpoint.keys_secret});
    if (secret == cluster_.secrets.end()) {
      return note(admitted.result, reason::kSecretMissing,
                  absl::StrCat("there is no Secret ", shown(endpoint.keys_secret), ", so ", closed));
    }
    endpoint.keys = secret->second.keys;
    const std::string name = absl::StrCat("the Secret ", shown(endpoint.keys_secret), ": ");
    if (!secret->second.refused.empty()) {
      note(admitted.result, reason::kSecretInvalid,
           absl::StrCat(name, secret->second.refused, endpoint.keys.empty() ? ", so " + closed : ""));
    } else if (endpoint.keys.empty()) {
      note(admitted.result, reason::kSecretInvalid,
           absl::StrCat(name, "it has neither `primaryKey` nor `secondaryKey`, so ", closed));
    }
  }

  /// The shares of deployments that exist, by the deployments' own spelling of their names.
  static std::map<std::string, int> assign(const Admitted& admitted, const std::vector<config::Share>& shares,
                                           std::vector<std::string>& missing) {
    std::map<std::string, int> assigned;
    for (const config::Share& share : shares) {
      const auto found = admitted.by_name.find(lower_case(share.name));
      if (found != admitted.by_name.end()) {
        assigned.emplace(admitted.endpoint.deployments[found->second.first].name, share.percent);
      } else if (share.percent > 0) {
        missing.push_back(shown(share.name));
      }
    }
    return assigned;
  }

  /// The amounts of one namespace that were counted so far.
  struct Amounts {
    std::size_t endpoints = 0;
    std::size_t deployments = 0;
    std::uint64_t bytes = 0;
    std::set<std::string> secrets;  // names
  };

  const Cluster& cluster_;
  const config::Kubernetes& rules_;
  const std::string& namespace_name_;
  const std::set<std::string>& own_;
  std::map<std::string, std::string> names_;      // lower-case name: its owner
  std::map<std::string, std::string> hostnames_;  // lower-case host name: its owner
  std::vector<Admitted> admitted_;
  std::map<ObjectKey, std::size_t> by_name_;  // namespace and lower-case name of an endpoint: its index in admitted_
  std::set<ObjectKey> refused_;               // namespace and lower-case name of each refused endpoint
  std::map<std::string, Amounts> amounts_;    // by namespace
  Joined joined_;
};

}  // namespace

TakenNames names_of(const std::vector<config::Endpoint>& endpoints) {
  TakenNames taken;
  for (const config::Endpoint& endpoint : endpoints) {
    taken.endpoints.insert(lower_case(endpoint.name));
    taken.hostnames.insert(endpoint.hostnames.begin(), endpoint.hostnames.end());
  }
  return taken;
}

Joined join_cluster(const Cluster& cluster, const config::Kubernetes& rules, const std::string& namespace_name,
                    const TakenNames& taken) {
  return Join(cluster, rules, namespace_name, taken).run();
}

}  // namespace router::discovery
