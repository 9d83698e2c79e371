#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "router/base/log_deduplicator.h"
#include "router/discovery/cluster.h"
#include "router/discovery/reconcile_result.h"
#include "router/kubernetes/errands.h"

namespace router::discovery {

/// The keys that an endpoint's Secret lacks and that the router may make.
struct LackingKeys {
  std::string namespace_name;
  std::string secret;
  std::string endpoint;      // the OnlineEndpoint's name
  std::string endpoint_uid;  // of the OnlineEndpoint that owns the Secret, or will own it
  std::string version;       // of the Secret; empty: there is no Secret
  bool primary = false;      // the primary key is missing
  bool secondary = false;    // the secondary key is missing
  bool operator==(const LackingKeys&) const = default;
};

/// Finds the endpoints that are served with key authentication and whose Secret does not exist, or belongs to them (by its
/// ownerReferences) and lacks a key. Secrets with other owners are never included.
std::vector<LackingKeys> find_lacking_keys(const Cluster& cluster, const std::vector<ReconcileResult>& results);

/// 32 random bytes as base64url without padding, 43 characters. Empty if the system gives no random numbers.
std::string make_key();

/// Makes missing keys: creates a Secret that the OnlineEndpoint owns, or adds a key to it. A write never overwrites another
/// one: it either creates the Secret or names the version that it is based on. No log line contains a key. Bounds: one entry
/// for each endpoint. Control thread.
class KeyMaker final : private kubernetes::Sender {
 public:
  /// `errands` outlives this.
  explicit KeyMaker(kubernetes::Errands& errands) : errands_(errands) {}

  void set(std::vector<LackingKeys> lacking);

 private:
  std::optional<kubernetes::ApiRequest> request_for(const std::string& name) override;
  Outcome answered(const std::string& name, const kubernetes::ApiAnswer& answer) override;

  kubernetes::Errands& errands_;
  std::map<std::string, LackingKeys> lacking_;  // by namespace and name of the Secret
  LogDeduplicator refusals_;                    // by namespace
};

}  // namespace router::discovery
