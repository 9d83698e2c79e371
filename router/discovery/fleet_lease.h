#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "router/kubernetes/api_client.h"
#include "router/kubernetes/api_time.h"
#include "router/kubernetes/object_watch.h"
#include "router/runtime/task_group.h"

namespace router::discovery {

/// A time of CLOCK_BOOTTIME, which also counts while the machine sleeps. Never compared with a time of another machine.
using BootTime = std::chrono::nanoseconds;
BootTime boot_time();

struct FleetLeaseOptions {
  std::string namespace_name;  // the router's own
  std::string name = "inference-router-fleet";
  std::string identity;  // of this process, as `holderIdentity` of what it writes; for people only
  std::function<BootTime()> boot_time = discovery::boot_time;  // tests replace both clocks
  kubernetes::WallClock wall_clock = std::chrono::system_clock::now;
};

/// The result of FleetLease::get.
struct LeaseRead {
  enum class State { kFound, kAbsent, kFailed };
  State state = State::kFailed;
  std::string roster;   // kFound: the annotation; empty if the Lease has none
  std::string version;  // kFound: the resourceVersion
  std::string object;   // kFound: the uid, which is another one if the Lease was deleted and made again
  BootTime sent_at{};   // not after the moment at which the request was sent; the answer is a state of that moment or later
  std::string error;    // kFailed
};

/// The result of FleetLease::put or FleetLease::stamp.
struct LeaseWritten {
  enum class Operation { kPut, kStamp };
  enum class State {
    kWritten,
    kConflict,  // nothing was written: the Lease has another version, exists already, or is not known here. Read it
    kAbsent,    // nothing was written: there is no Lease of that name any more
    kFailed,    // nothing was written; `error` says why
    kUnknown,   // perhaps it was written (no answer, a 5xx, or others have changed it since). Read it
  };
  Operation operation = Operation::kPut;
  State state = State::kFailed;
  std::string version;  // kWritten: the new resourceVersion
  std::string error;    // kFailed, kUnknown, kAbsent
};

/// Gets the results of a FleetLease and the changes that its watch shows. Called from the loop of the control thread, never
/// inside a call of the FleetLease, and with states in the order of their versions. May call the FleetLease, and must not
/// destroy it. If it throws, the watch tells its change again later; a result is not told again.
class FleetLeaseOwner {
 public:
  virtual void lease_read(LeaseRead read) = 0;
  virtual void lease_written(LeaseWritten written) = 0;
  /// The Lease now has this roster and version; only the version, if somebody stamped it. Not called for a version that a
  /// result has told.
  virtual void lease_changed(const std::string& roster, const std::string& version) = 0;
  /// There is no Lease.
  virtual void lease_deleted() = 0;

 protected:
  ~FleetLeaseOwner() = default;
};

/// The Lease of the fleet, whose annotation kRosterKey holds the fleet's roster (decision 0070). The roster is a text without
/// meaning here. It is written only by requests that name the version that they are based on, or that create the Lease, so no
/// write ever overwrites one that its writer has not seen.
/// A Lease without numbers as versions, or restored from an old backup of etcd, is shown by `get` only.
/// Rights, in the router's namespace: `create` on leases.coordination.k8s.io, which a role cannot limit to a name, and get,
/// update, list and watch on the Lease of that name (ObjectWatch).
/// Bounds: rosters of kRosterMax bytes; one request at a time, of kCallMax.
/// Control thread. After its destruction it calls nothing; a write that was sent may still take effect.
class FleetLease {
 public:
  static constexpr const char* kRosterKey = "inference-router.dev/roster";
  static constexpr std::size_t kRosterMax = 200 * 1024;  // the API server takes 256 KiB for all annotations together
  static constexpr std::chrono::seconds kCallMax{2};     // from the sending of the first request to the result
  static constexpr int kOvertakenMax = 3;                // reads that a change overtakes, before `get` fails
  static constexpr std::size_t kTasks = 1 + kubernetes::ObjectWatch::kTasks;  // tasks in the group, at most

  /// `client`, `group` and `owner` outlive this; the client also outlives the tasks. The watch begins from the loop.
  FleetLease(kubernetes::ApiClient& client, runtime::TaskGroup& group, FleetLeaseOptions options, FleetLeaseOwner& owner);
  FleetLease(const FleetLease&) = delete;
  FleetLease& operator=(const FleetLease&) = delete;
  ~FleetLease();

  /// Each of these begins one operation, whose result goes to the owner exactly once; false: another one is under way, and
  /// nothing was begun. They throw std::bad_alloc; then nothing was begun either.

  /// Reads the newest state from the API server's storage.
  bool get();
  /// Writes `roster` over the version `based_on`; empty: creates the Lease. All else in the Lease stays.
  bool put(std::string roster, std::string based_on);
  /// Writes the time as `renewTime` over the newest version that this has seen. All else, the roster too, stays.
  bool stamp();

  bool busy() const;
  const kubernetes::ObjectWatch& watch() const { return watch_; }

 private:
  struct State;
  std::shared_ptr<State> state_;
  kubernetes::ObjectWatch watch_;
};

}  // namespace router::discovery
