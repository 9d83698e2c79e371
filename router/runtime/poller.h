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

/// Which sockets are notified first. Work that ends requests goes before work that begins them: replicas (kFirst) before
/// clients (kLater). So under load few requests are in progress at once, and their data is still in the processor's cache. Each
/// poll notifies some clients, however many replicas are ready.
enum class Precedence : std::uint8_t { kFirst, kLater };

/// The state of one socket in its shard's poller. The poller creates and destroys it; a Socket holds a pointer to it.
class Watch final : public boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>> {
 public:
  Watch(Poller& poller, Precedence precedence) : poller_(poller), precedence_(precedence) {}

  void set_waker(Waker* waker) { waker_ = waker; }
  /// Wakes the waker once, from the event loop, when the socket is readable (also: ended or failed).
  void arm_read();
  void arm_write();
  void wake_soon();
  bool read_armed() const { return read_armed_; }

  /// Called after a read: the kernel may have more bytes, or it has none and will report the next arrival.
  void note_more() { readable_ = true; }
  void note_drained() { readable_ = has_ended_; }
  /// Called after a write: the kernel takes no more bytes for now, and will report when it does.
  void note_full() { writable_ = is_over_; }

 private:
  friend class Poller;
  void note(std::uint32_t events);
  void notify();

  Poller& poller_;
  Waker* waker_ = nullptr;
  bool read_armed_ = false;
  bool write_armed_ = false;
  bool readable_ = false;   // as the kernel has reported, or a later read has found
  bool writable_ = false;   // likewise
  bool has_ended_ = false;  // the peer has closed its side: reported once, and readable from then on
  bool is_over_ = false;    // the connection has ended in both directions
  bool woken_ = false;      // by `wake_soon`
  const Precedence precedence_;
};

/// Notifies the sockets of one shard when they become readable or writable. Each is registered with the kernel once, for all
/// events (epoll, edge-triggered), so that waiting costs no system call; Asio's reactor would need one for every wait
/// (docs/decisions/0015). The event loop is Asio's: the poller is one descriptor in it. When that is readable, one turn of the
/// poller notifies the sockets that have become ready. One shard.
class Poller {
 public:
  explicit Poller(boost::asio::io_context& loop, const ShardLocal* of = nullptr);
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;
  ~Poller();
  /// Before the event loop is destroyed. Sockets may be destroyed later.
  void leave_loop();

  /// Registers `descriptor`. Throws std::bad_alloc when memory or the kernel's watches run short.
  Watch* watch(int descriptor, Precedence precedence);
  /// Destroys `watch`; nothing is notified any more. The caller closes the descriptor.
  void forget(Watch* watch) noexcept;
  /// Like `forget`, but the descriptor stays open.
  void release(Watch* watch, int descriptor) noexcept;

  /// The number of the current step, 0 outside of a turn. A step is what one waker does when it is woken.
  std::uint64_t step() const { return in_turn_ ? steps_ : 0; }
  /// Begins another step: for a waker whose work consists of several.
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
  Watches waiting_;    // to be notified by the next poll
  Watches later_;      // kLater, with events, in the order of these
  Watches forgotten_;  // forgotten in this turn, whose events may still refer to them
  std::unique_ptr<Loop> loop_;
};

}  // namespace router::runtime
