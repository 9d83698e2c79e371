#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "router/base/time.h"
#include "router/dispatch/request_queue.h"
#include "router/runtime/address.h"
#include "router/upstream/replica.h"

namespace router::upstream {

struct PeerOptions {
  std::string member;  // its id in the fleet: what `x-ir-home` names
  runtime::Address address;
  std::string host;                            // the TLS server name if the transport has none
  std::shared_ptr<const Transport> transport;  // nullptr: plaintext
  std::size_t shards = 1;
  std::size_t waiting_max = 1024;     // requests that wait there, of the whole process; beyond it: queue_full
  std::size_t connections_kept = 64;  // idle ones, on each shard
};

/// Another router of the fleet, to which requests are sent on. For the exchange it is a replica without limit, in a queue of
/// its own, so that connections are opened, kept and used as those to a pod. It is never ejected: the fleet alone decides who
/// is gone. Threads: made and destroyed on control; the shards use it through the view that contains it.
class Peer {
 public:
  /// `clock` must outlive the peer and every slot of its queue. Throws std::bad_alloc.
  Peer(PeerOptions options, const Clock& clock);
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;
  ~Peer();

  const std::string& member() const { return member_; }
  dispatch::RequestQueue& queue() const { return *queue_; }
  /// A connection to it could not be made: whatever the queue has counted, it may be chosen again. Any thread.
  void forgive();

  /// The place of one request that waits at the peer for a slot. Destruction gives it up. Move-only.
  class Place {
   public:
    Place() = default;
    Place(Place&& other) noexcept : peer_(std::exchange(other.peer_, nullptr)) {}
    Place& operator=(Place&& other) noexcept {
      std::swap(peer_, other.peer_);
      return *this;
    }
    ~Place() { give_up(); }
    explicit operator bool() const { return peer_ != nullptr; }
    void give_up() noexcept {
      if (Peer* peer = std::exchange(peer_, nullptr)) peer->waiting_.fetch_sub(1, std::memory_order_relaxed);
    }

   private:
    friend class Peer;
    explicit Place(Peer* peer) : peer_(peer) {}
    Peer* peer_ = nullptr;
  };
  /// Empty if `waiting_max` requests wait already. Any thread.
  Place enter() noexcept;
  std::size_t waiting() const { return waiting_.load(std::memory_order_relaxed); }

 private:
  const std::string member_;
  const std::size_t waiting_max_;
  const std::shared_ptr<Replica> replica_;
  const std::shared_ptr<dispatch::RequestQueue> queue_;
  std::atomic<std::size_t> waiting_{0};
};

/// The other routers of the fleet, as one view knows them; immutable. An index stands for the same member as long as the
/// process lives. A member that is gone leaves nullptr behind: what waits there without a proof is given up.
struct Peers {
  std::uint64_t epoch = 0;  // of the roster; told to the home, for its log
  std::string self;         // this member's id
  std::vector<std::shared_ptr<Peer>> members;

  /// nullptr if `index` names no member, or one that is gone.
  Peer* at(std::int32_t index) const {
    return index >= 0 && static_cast<std::size_t>(index) < members.size() ? members[static_cast<std::size_t>(index)].get()
                                                                          : nullptr;
  }
};

}  // namespace router::upstream
