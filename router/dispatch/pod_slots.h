#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <vector>

#include "router/dispatch/retired.h"
#include "router/dispatch/slots.h"

namespace router::dispatch {

/// The slots of one pod, with the connections that rest in them. Usually one replica of one line takes from them; if several
/// deployments show the same pod, one replica in each of their lines: then this is what keeps all of them together from having
/// more exchanges with it than it has slots. As many as the strictest of them says.
/// A replica that finds no slot is remembered, and told when there is one: it is set aside for it until its line has had a turn
/// (`Line::receive`), so that a line which is busier than the other cannot keep all slots to itself. Each that gives back lets
/// the others go first; these in turn.
/// Any thread, under a short mutex of its own. It is the innermost one: taken under a line's mutex, and under it nothing else
/// is locked, posted or destroyed. See docs/decisions/0013-pods-of-several-deployments.md.
class PodSlots {
 public:
  PodSlots() = default;
  PodSlots(const PodSlots&) = delete;
  PodSlots& operator=(const PodSlots&) = delete;

  /// The replica has become a member of `line`, with that many slots by its deployment's word; 0: without limit.
  void join(const std::shared_ptr<Replica>& replica, std::weak_ptr<Line> line, std::size_t slots, Retired& retired);
  /// It is none any more. It may still give back.
  void leave(const Replica& replica, Retired& retired);
  void set_slots(const Replica& replica, std::size_t slots, Retired& retired);

  struct Taken {
    bool granted = false;
    Slot* slot = nullptr;  // nullptr, too, while the pod is without limit
  };
  /// A slot for a member, for use on `shard`. If there is none, the member is an heir once there is one.
  Taken take(const Replica& replica, std::size_t shard);
  /// After this the replica may ask again, and is remembered no more for having asked in vain.
  void give_back(const Replica& replica, Slot* slot, Retired& retired);
  /// Whatever is still set aside for this member goes to others.
  void decline(const Replica& replica, Retired& retired);

  /// Takes `expected` out of a slot that nobody holds, because it is of no use any more (its connection was closed). False, and
  /// nothing is taken, if the slot is leased or keeps something else by now.
  bool take_cargo(Slot& slot, const Cargo* expected, std::unique_ptr<Cargo>& out);

  /// Asserts what must hold between two operations.
  void check() const;
  /// Exchanges that hold a slot now, of all lines.
  std::size_t in_use() const;

 private:
  struct Member {
    const Replica* replica;
    Heir heir;
    std::size_t slots;
    bool wants = false;         // it asked in vain
    std::size_t set_aside = 0;  // for it, until its line has had a turn
  };

  Member* find(const Replica& replica);
  bool has_free() const { return slots_ == 0 || in_use_ + set_aside_ < slots_; }
  void take_back_set_aside(Member& member);
  /// After `members_` or what they say has changed.
  void count_slots();
  /// Free slots are set aside for members that want one, in turn.
  void bequeath(Retired& retired);
  void trim(Retired& retired);

  mutable std::mutex mutex_;
  std::vector<Member> members_;
  std::size_t next_ = 0;       // whose turn it is
  std::size_t slots_ = 0;      // 0: without limit
  std::size_t in_use_ = 0;     // leases; more than slots_ after that was lowered
  std::size_t set_aside_ = 0;  // the members' sum
  SlotStock stock_;
};

}  // namespace router::dispatch
