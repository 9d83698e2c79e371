#pragma once

#include <boost/intrusive/list.hpp>
#include <cstdint>
#include <memory>

#include "router/base/assert.h"
#include "router/runtime/shard_local.h"

namespace boost::asio {
class io_context;
}

namespace router::runtime {

class Waker;
class Poller;

/// Who is told first. What ends requests goes before what begins them: replicas (kFirst) before clients (kLater), so that under
/// load few requests are under way at once, and what they need is still in the processor's cache. Each look tells some clients,
/// however many replicas there are to be told.
enum class Precedence : std::uint8_t { kFirst, kLater };

/// One socket, as its shard sees it. The poller makes and ends it; a Socket holds it meanwhile.
class Watch final : public boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>> {
 public:
  Watch(Poller& poller, Precedence precedence) : poller_(poller), precedence_(precedence) {}

  void set_waker(Waker* waker) { waker_ = waker; }
  /// Wakes once, from the loop, when the socket can be read (or has ended, or failed).
  void arm_read();
  void arm_write();
  void wake_soon();
  bool read_armed() const { return read_armed_; }

  /// What a read has found out: the kernel may have more to give; or it has not, and tells of the next arrival.
  void note_more() { readable_ = true; }
  void note_drained() { readable_ = has_ended_; }
  /// The kernel takes no more for now, and tells when it does.
  void note_full() { writable_ = is_over_; }

 private:
  friend class Poller;
  void note(std::uint32_t events);
  void notify();

  Poller& poller_;
  Waker* waker_ = nullptr;
  bool read_armed_ = false;
  bool write_armed_ = false;
  bool readable_ = false;   // as far as we have been told, and have not found out otherwise
  bool writable_ = false;   // the same
  bool has_ended_ = false;  // the peer has said all: that is told once, and can be read again and again
  bool is_over_ = false;    // the connection, both ways
  bool woken_ = false;      // by ourselves
  const Precedence precedence_;
};

/// Tells the sockets of one shard when they can be read or written. Each is registered with the kernel once, for all that may
/// happen to it (epoll, edge-triggered), so that waiting costs no system call; Asio's reactor would need one for every wait
/// (docs/decisions/0015). The loop is Asio's all the same: the poller is one descriptor in it, and telling what has become
/// ready since is one turn. One shard.
class Poller {
 public:
  explicit Poller(boost::asio::io_context& loop, const ShardLocal* of = nullptr);
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;
  ~Poller();
  /// Before the loop ends. Sockets may end later.
  void leave_loop();

  /// Throws std::bad_alloc when memory, or the kernel's watches, run short.
  Watch* watch(int descriptor, Precedence precedence);
  /// Nobody is told any more. The descriptor is to be closed.
  void forget(Watch* watch) noexcept;
  /// As `forget`, but the descriptor stays open.
  void release(Watch* watch, int descriptor) noexcept;

  /// What a waker does when it is woken is one step of a turn: the number of the step under way, 0 outside of a turn.
  std::uint64_t step() const { return in_turn_ ? steps_ : 0; }
  /// For a waker that does several things, each of them a step.
  void begin_step() { ++steps_; }

 private:
  friend class Watch;
  using Watches = boost::intrusive::list<Watch, boost::intrusive::constant_time_size<false>>;
  struct Loop;

  void turn();
  int look();
  void turn_soon() noexcept;
  void notify_soon(Watch& watch) noexcept;
  void arm() noexcept;
  template <class Step>
  void take(Step step) noexcept;
  template <class Step>
  void insist(Step step) noexcept;

  void assert_here() const { ROUTER_ASSERT(of_ == nullptr || of_->is_here()); }

  const ShardLocal* of_;
  const int descriptor_;
  bool in_turn_ = false;
  bool turn_comes_ = false;  // posted
  std::uint64_t steps_ = 0;
  Watches waiting_;    // to be told by the next look
  Watches later_;      // kLater, and something has happened, in the order in which it did
  Watches forgotten_;  // in this turn, whose events may still refer to them
  std::unique_ptr<Loop> loop_;
};

}  // namespace router::runtime
