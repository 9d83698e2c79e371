#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "router/runtime/shard.h"
#include "router/runtime/wakeup.h"

struct iovec;

namespace router::runtime {

/// How a non-blocking operation ended.
enum class IoState {
  kDone,     // bytes moved; more may be at hand, ask again before waiting
  kDrained,  // bytes moved, and nothing more is at hand
  kBlocked,  // arm and wait; bytes may have moved (writes)
  kEof,      // the peer has ended its side
  kFailed,
};

struct IoResult {
  IoState state = IoState::kFailed;
  std::size_t bytes = 0;
  int system_error = 0;    // errno
  const char* cause = "";  // a literal, for the log

  bool moved() const { return state == IoState::kDone || state == IoState::kDrained; }
};

/// A connected stream socket (TCP or Unix) of one shard. Input and output are direct non-blocking system calls; when one of
/// them would block, `arm_read` or `arm_write`, then wait on the Waker: the shard's poller knows. Move-only; closes when
/// destroyed.
class Socket {
 public:
  Socket() = default;
  /// Takes over `descriptor` (made non-blocking here) and registers it with the shard. Throws std::bad_alloc, and closes it,
  /// when memory is short.
  Socket(Shard& shard, int descriptor, Precedence precedence = Precedence::kFirst);
  Socket(Socket&& other) noexcept
      : shard_(other.shard_),
        watch_(std::exchange(other.watch_, nullptr)),
        descriptor_(std::exchange(other.descriptor_, -1)),
        traffic_(other.traffic_) {}
  Socket& operator=(Socket&& other) noexcept;
  ~Socket() { close(); }

  bool is_open() const { return descriptor_ >= 0; }
  int descriptor() const { return descriptor_; }
  Shard& shard() const { return *shard_; }

  /// Whom readiness wakes from now on; nullptr: nobody. The Waker must outlive this or a later call.
  void set_waker(Waker* waker);
  /// Wakes once when the socket can be read (or has ended, or failed). Armed twice is armed once; stays armed until it fires.
  void arm_read();
  void arm_write();
  /// Wakes from the loop, as if the socket had become ready.
  void wake_soon();
  /// Whether `arm_read` has been called and has not fired yet: nothing new has arrived.
  bool read_armed() const;

  IoResult read(std::span<char> into) const;
  /// As `read`, but what has arrived stays there. Armed after that, the socket wakes when more has arrived.
  IoResult peek(std::span<char> into) const;
  /// Writes as much of `pieces` as the kernel takes. kDone: all of it; kBlocked: `bytes` of it.
  IoResult write(std::span<const iovec> pieces) const;
  IoResult write(std::string_view bytes) const;

  /// Ends our side; the peer sees the end of the stream.
  void shutdown_write() const;
  /// Whether the kernel has bytes for us, or the end, whether or not the waker was told yet.
  bool has_arrived() const;
  /// Whether the peer has ended its side, even if bytes before that end were not read yet.
  bool peer_has_ended() const;
  /// Bytes that the kernel has taken since the socket was made.
  std::uint64_t bytes_sent() const { return traffic_.sent; }
  /// Remembers what the peer has acknowledged so far, which must be all that was sent: before anything that
  /// `ended_before_receiving` may be asked about.
  void note_acknowledged();
  /// Proof that the peer has received nothing beyond the first `sent` bytes (of `bytes_sent`), and will not act on what comes:
  /// it has ended its side with a FIN, which acknowledges all that had arrived by then, and nothing more was acknowledged. A
  /// reset proves nothing: it may follow bytes that were read and not acknowledged yet (docs/decisions, 0007).
  bool ended_before_receiving(std::uint64_t sent) const;
  /// Whether a connection attempt has succeeded. False with `error` 0: still under way, arm for writing; else it failed.
  bool is_connected(int& error) const;
  /// Closes with a reset instead of an orderly end: the peer must not take what it has for complete.
  void reset();
  void close();
  /// Gives the descriptor up without closing it, so that another shard may take it over.
  int release();

 private:
  IoResult receive(std::span<char> into, int flags) const;
  IoResult failure(const char* cause) const;

  Shard* shard_ = nullptr;
  Watch* watch_ = nullptr;
  int descriptor_ = -1;
  /// What has happened on the connection so far.
  struct Traffic {
    std::uint64_t sent = 0;
    bool was_reset = false;
    std::uint64_t sent_when_noted = 0;
    std::optional<std::uint64_t> acknowledged_when_noted;  // as the kernel counts
  };
  mutable Traffic traffic_;
};

/// Starts a connection to `address` (sockaddr bytes). The result is open and becomes writable when connected or failed; not
/// open with `error` set when it failed at once, which may be for a shortage of ours (`is_our_shortage`).
Socket start_connect(Shard& shard, std::span<const std::byte> address, int& error);

}  // namespace router::runtime
