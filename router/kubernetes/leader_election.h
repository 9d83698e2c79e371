#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "router/kubernetes/api_client.h"
#include "router/runtime/task_group.h"

namespace router::kubernetes {

struct LeaderElectionOptions {
  std::string lease_name;
  std::string lease_namespace;
  std::string identity;                     // of this process; unique among the candidates
  std::chrono::seconds lease_duration{15};  // how long other candidates wait after the last renewal that they saw
  std::chrono::seconds renew_deadline{10};  // how long the leader leads after its last renewal; shorter: clocks may differ
  std::chrono::seconds retry_period{2};     // between two attempts to renew or acquire
};

/// Elects one of several processes as leader by a Lease (coordination.k8s.io/v1). The process whose identity the Lease contains
/// leads as long as it renews the Lease. The algorithm is that of client-go: each write names the version that it is based on,
/// so of two concurrent writes only one succeeds. The times in the Lease are never compared with the local clock. A Lease has
/// expired if this process has seen no change for the Lease's duration. There is at most one leader as long as all clocks run
/// equally fast, so what the leader does must be harmless if two do it for a moment.
/// A candidate tries again until it is destroyed, also after losing the Lease and after an exception. It needs the verbs get,
/// create and update on leases in that namespace. Control thread. After its destruction it calls nothing and releases the
/// Lease, so that another candidate need not wait; its task in the group ends within kReleaseMax.
class LeaderElection {
 public:
  static constexpr std::chrono::seconds kReleaseMax{2};
  static constexpr std::chrono::seconds kAttemptMax{5};  // one request

  /// `client` and `group` (with room for one more task) outlive this; the client also outlives the task. `changed` is called
  /// from the loop.
  LeaderElection(ApiClient& client, runtime::TaskGroup& group, LeaderElectionOptions options,
                 std::function<void(bool leading)> changed);
  LeaderElection(const LeaderElection&) = delete;
  LeaderElection& operator=(const LeaderElection&) = delete;
  ~LeaderElection();

  /// False from the moment at which another candidate may take over, even before `changed` is called.
  bool leading() const;

 private:
  struct Candidate;
  std::shared_ptr<Candidate> candidate_;
};

}  // namespace router::kubernetes
