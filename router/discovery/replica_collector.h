#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "config/config.h"
#include "router/discovery/found_replica.h"
#include "router/runtime/address.h"

namespace router::discovery {

/// Collects the replicas of one deployment in a cluster and the refused objects, for one call of a finder.
class ReplicaCollector {
 public:
  static constexpr std::size_t kShown = 5;  // refusals that are listed one by one

  /// One replica at one address, as one object shows it.
  struct Sighting {
    runtime::Address address;
    bool ready = false;
    bool terminating = false;
  };

  /// `deployment` outlives this.
  explicit ReplicaCollector(const config::Deployment& deployment) : deployment_(deployment) {}

  /// Adds a sighting. A replica may be added several times, also with several addresses; it is usable only if every sighting
  /// says so. IPv4 is preferred.
  void add(const std::string& identity, const Sighting& sighting);
  /// Records a refusal. `what` is the refused object; `why` is the reason, which quotes as little as possible.
  void refuse(const std::string& what, const std::string& why);
  /// Returns the replicas, sorted by identity. `reason` is the reason of the condition if anything was refused.
  FoundReplicas finish(std::string_view reason);

 private:
  void reach_at(FoundReplica& replica, const runtime::Address& address) const;

  const config::Deployment& deployment_;
  std::map<std::string, FoundReplica> found_;  // by identity
  std::size_t refused_ = 0;
  FoundReplicas result_;
};

/// The identity of a Pod as a replica, the same for EndpointSlices and adopted Pods.
std::string pod_identity(const std::string& uid, std::uint16_t port);

}  // namespace router::discovery
