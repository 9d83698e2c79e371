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
  std::string lease_namespace;              // the namespace
  std::string identity;                     // of this process: no other candidate has it
  std::chrono::seconds lease_duration{15};  // so long the others wait after the last renewal they saw
  std::chrono::seconds renew_deadline{10};  // so long we lead after our own last renewal; shorter, as clocks need not agree
  std::chrono::seconds retry_period{2};     // between two attempts to renew or acquire
};

/// Chooses one among the processes that are candidates, by a Lease (coordination.k8s.io/v1): whoever has written its name into
/// it leads for as long as it renews it. As client-go does it: each write names the version that it is based on, so of two only
/// one succeeds, and the times of others are never compared with our clock: a lease has run out when it has not changed for its
/// duration while we looked on. At most one leads at a time as far as clocks run equally fast, so what the leader does must
/// bear being done twice for a moment. Not leading, for whatever reason, ends nothing, nor does an exception: it goes on trying
/// for as long as it lives. The rights it needs: get, create and update on leases in that namespace. Control thread. When
/// destroyed it calls nothing any more and gives the lease up, so that another one need not wait; its task in the group ends
/// within kReleaseMax.
class LeaderElection {
 public:
  static constexpr std::chrono::seconds kReleaseMax{2};
  static constexpr std::chrono::seconds kAttemptMax{5};  // one request

  /// `client` and `group` (which has room for one more) outlive this; the client also the task in the group. `changed` is
  /// called from the loop.
  LeaderElection(ApiClient& client, runtime::TaskGroup& group, LeaderElectionOptions options,
                 std::function<void(bool leading)> changed);
  LeaderElection(const LeaderElection&) = delete;
  LeaderElection& operator=(const LeaderElection&) = delete;
  ~LeaderElection();

  /// False from the moment on at which another one may take over, even before `changed` is called.
  bool leading() const;

 private:
  struct Candidate;
  std::shared_ptr<Candidate> candidate_;
};

}  // namespace router::kubernetes
