#pragma once

#include <absl/status/statusor.h>

#include <functional>
#include <memory>
#include <string>

#include "config/config.h"
#include "router/discovery/fleet_lease.h"
#include "router/discovery/fleet_secret.h"
#include "router/fleet/events.h"
#include "router/kubernetes/api_client.h"
#include "router/runtime/resolver.h"
#include "router/runtime/task_group.h"
#include "tls/psk.h"

namespace router::serving {

/// The fleet's Lease and Secret in Kubernetes: does what the state machine wants of the Lease, tells it what the Lease shows,
/// and passes on the keys of the Secret. Control thread.
class FleetCluster final : private discovery::FleetLeaseOwner {
 public:
  struct Parts {
    runtime::Shard& control;
    runtime::Resolver& resolver;
    std::function<void(fleet::Event)> post;              // to the fleet's thread, in order. May throw std::bad_alloc
    std::function<void(const tls::PskKeys& keys)> keys;  // the first ones, and others. May throw std::bad_alloc
  };
  /// Reads the credentials; sends no request yet. `identity`: of this process, for people who look at the Lease.
  static absl::StatusOr<std::unique_ptr<FleetCluster>> make(Parts parts, const config::Kubernetes& settings,
                                                            const config::Fleet& fleet, const std::string& identity);
  FleetCluster(const FleetCluster&) = delete;
  FleetCluster& operator=(const FleetCluster&) = delete;
  ~FleetCluster();

  /// Begins to follow the Lease and the Secret.
  void start();
  /// Does a LeaseGet, LeasePut or LeaseStamp, which is answered by one event. Before the first keys it is answered as failed.
  void act(const fleet::Action& action);
  /// Why there are no keys, or why the Secret's are not in use; empty: nothing is wrong.
  std::string trouble() const;
  /// Stops all tasks; they end some turns of the loop later.
  void stop();
  Task<bool> stopped(Deadline deadline) { return following_.wait(deadline); }

 private:
  FleetCluster(Parts parts, std::unique_ptr<kubernetes::ApiClient> client, discovery::FleetLeaseOptions lease,
               discovery::FleetSecretOptions secret);
  void tell(const fleet::Event& event) noexcept;
  void lease_read(discovery::LeaseRead read) override;
  void lease_written(discovery::LeaseWritten written) override;
  void lease_changed(const std::string& roster, const std::string& version) override;
  void lease_deleted() override;

  const Parts parts_;
  const std::unique_ptr<kubernetes::ApiClient> client_;
  const discovery::FleetLeaseOptions lease_options_;
  const discovery::FleetSecretOptions secret_options_;
  runtime::TaskGroup following_;
  std::unique_ptr<discovery::FleetLease> lease_;
  std::unique_ptr<discovery::FleetSecret> secret_;
};

}  // namespace router::serving
