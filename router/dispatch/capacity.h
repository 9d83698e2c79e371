#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "router/dispatch/load_buckets.h"
#include "router/dispatch/replica.h"

namespace router::dispatch {

/// What an operation under the line's mutex has put aside, to be destroyed after it: destructors may close connections.
struct Retired {
  std::vector<std::unique_ptr<Cargo>> cargo;
  std::vector<std::shared_ptr<Replica>> replicas;
};

/// The replicas of a line and who of them has a slot free. Knows nobody who waits. Belongs to the line's mutex; destroys
/// nothing itself.
class Capacity {
 public:
  struct Taken {
    std::shared_ptr<Replica> replica;
    Slot* slot = nullptr;  // nullptr for a replica without limit
  };

  bool available() const { return !choosable_.empty(); }
  /// A slot of the least-loaded usable replica, for a user on `shard`. Only while available.
  Taken take(std::size_t shard);
  void give_back(Replica& replica, Slot* slot, Retired& retired);

  void set_replicas(const std::vector<std::shared_ptr<Replica>>& replicas, Retired& retired);
  void set_ready(Replica& replica, bool ready);
  void set_slots(Replica& replica, std::size_t slots, Retired& retired);

  const std::vector<std::shared_ptr<Replica>>& replicas() const { return members_; }
  std::size_t ready() const { return ready_; }
  /// How often a first replica became ready after none was: equal numbers at two moments with none ready mean that there was
  /// none in between either.
  std::uint64_t revivals() const { return revivals_; }
  std::size_t leases() const { return leases_; }
  std::size_t slots() const;  // sum over the limited replicas

  static bool is_ready(const Replica& replica) { return replica.ready_; }
  static std::size_t slots_of(const Replica& replica) { return replica.slots_max_; }
  /// Asserts what must hold between two operations.
  void check() const;

 private:
  void offer(Replica& replica);
  static void trim(Replica& replica, Retired& retired);
  void count_ready(std::size_t ready);

  std::vector<std::shared_ptr<Replica>> members_;
  LoadBuckets choosable_;
  std::size_t ready_ = 0;
  std::uint64_t revivals_ = 0;
  std::size_t leases_ = 0;  // of replicas that are gone, too
};

}  // namespace router::dispatch
