#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "router/base/result.h"
#include "router/base/time.h"
#include "router/dispatch/replica.h"
#include "router/runtime/wakeup.h"

namespace router::dispatch {

class Line;

/// Evidence of a held slot, given back on destruction. Move-only; may be destroyed on any thread.
class Lease {
 public:
  Lease() = default;
  Lease(Lease&& other) noexcept;
  Lease& operator=(Lease&& other) noexcept;
  ~Lease();

  explicit operator bool() const { return line_ != nullptr; }
  Replica& replica() const { return *replica_; }
  /// The slot that is held; nullptr for a replica without limit.
  Slot* slot() const { return slot_; }
  void give_back();

 private:
  friend class Line;
  std::shared_ptr<Line> line_;
  std::shared_ptr<Replica> replica_;
  Slot* slot_ = nullptr;
};

/// One exchange in line. Made only when no slot was free; owned by the exchange and by a grant that is on its way to it.
/// The exchange looks at it whenever its Wakeup wakes it. Waiting -> granted, refused or cancelled: once, under the line's
/// mutex.
class Waiter;

struct LineOptions {
  std::size_t length_max = 64;  // exchanges waiting, per deployment
};

/// What a line asks for, for metrics, status and scaling.
struct Demand {
  std::size_t waiting = 0;
  TimePoint oldest{};  // arrival of the first in line; meaningless while nobody waits
  std::size_t slots = 0;
  std::size_t slots_in_use = 0;
  std::size_t replicas = 0;
  std::size_t replicas_ready = 0;
};

/// The waiting line of one deployment: binds an exchange to a replica at the moment a slot is free, first come first served.
/// Threads: shared by all shards (one short mutex); nothing is resumed or posted under it. A waiter is woken on its own shard.
/// Lives in a shared_ptr, outliving tables.
class Line : public std::enable_shared_from_this<Line> {
 public:
  explicit Line(LineOptions options) : options_(options) {}
  ~Line();

  /// What `enter` came to.
  struct Entry {
    Lease lease;                     // held at once, or
    std::shared_ptr<Waiter> waiter;  // in line (released with `leave`)
  };
  /// Takes a free slot of the least-loaded ready replica if nobody waits (ties at random, a slot whose connection lives on this
  /// shard preferred), else takes a place at the end of the line. Fails with kQueueFull, with kNoReadyReplica if the deployment
  /// has no replica at all, or with kDeploymentNotFound once closed. `wakeup` is woken when the waiter's state has changed.
  Result<Entry> enter(runtime::Wakeup& wakeup);
  /// Leaves the line (deadline passed, client gone). If a grant was already on its way, its slot passes on to the next in line.
  /// After this the wakeup is not used any more. Tells whether a replica was ever ready while it waited (queue_timeout or
  /// no_ready_replica).
  struct Parting {
    bool replica_was_ready = false;
  };
  Parting leave(const std::shared_ptr<Waiter>& waiter);
  /// The waiter's shard: the lease if granted (once), the failure if the line was closed, nothing while it waits.
  /// Result<Lease> with an empty Lease means: still waiting.
  static Result<Lease> poll(const std::shared_ptr<Waiter>& waiter);

  // --- control thread; each pumps the line ---
  void set_options(LineOptions options);
  /// The replicas that may be chosen from now on. One that is gone keeps its leases and gets nothing new; its idle connections
  /// are retired.
  void set_replicas(std::vector<std::shared_ptr<Replica>> replicas);
  void set_ready(const std::shared_ptr<Replica>& replica, bool ready);
  void set_slots(const std::shared_ptr<Replica>& replica, std::size_t slots);  // may be below what is in use; 0 = unlimited
  /// The deployment was removed: every waiter is answered with kDeploymentNotFound, as is everyone who comes.
  void close();

  Demand demand() const;

 private:
  friend class Lease;
  LineOptions options_;
  // … the implementer's
};

}  // namespace router::dispatch
