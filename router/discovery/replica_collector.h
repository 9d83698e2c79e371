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

/// Gathers what was found of one deployment's replicas on a cluster, and what was not believed; for one call of a finder.
class ReplicaCollector {
 public:
  static constexpr std::size_t kShown = 5;  // refusals that are told one by one

  /// What is told of one replica at one address.
  struct Sighting {
    runtime::Address address;
    bool ready = false;
    bool terminating = false;
  };

  /// `deployment` outlives this.
  explicit ReplicaCollector(const config::Deployment& deployment) : deployment_(deployment) {}

  /// A replica may be seen several times, also at several addresses: it is usable only if it is so each time. IPv4 is
  /// preferred.
  void add(const std::string& identity, const Sighting& sighting);
  /// `what` is the object that is not believed, `why` a reason without quoting more than it must.
  void refuse(const std::string& what, const std::string& why);
  /// By identity. `reason` is that of the condition if anything was refused.
  FoundReplicas finish(std::string_view reason);

 private:
  void reach_at(FoundReplica& replica, const runtime::Address& address) const;

  const config::Deployment& deployment_;
  std::map<std::string, FoundReplica> found_;  // by identity
  std::size_t refused_ = 0;
  FoundReplicas result_;
};

/// What a Pod is the same replica by, whatever shows it.
std::string pod_identity(const std::string& uid, std::uint16_t port);

}  // namespace router::discovery
