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

/// A key that an endpoint's Secret lacks, and that may be made.
struct LackingKeys {
  std::string namespace_name;
  std::string secret;
  std::string endpoint;      // the OnlineEndpoint's name
  std::string endpoint_uid;  // that owns the Secret, or will
  std::string version;       // of the Secret; empty: there is none
  bool primary = false;      // lacks it
  bool secondary = false;
  bool operator==(const LackingKeys&) const = default;
};

/// Endpoints that are served and score by key, whose Secret is not there, or is theirs (by its ownerReferences) and has lost a
/// key. A Secret that belongs to anybody else is never among them.
std::vector<LackingKeys> find_lacking_keys(const Cluster& cluster, const std::vector<ReconcileResult>& results);

/// 32 random bytes as text: base64url without padding, 43 characters. Empty if there is no randomness to be had.
std::string make_key();

/// Makes what is lacking: a Secret that the OnlineEndpoint owns, or a key in it. A write never goes over another one: it
/// creates, or names the version that it is based on. Nothing that is told holds a key. Bounds: one entry for each endpoint.
/// Control thread.
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
