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
  kDone,     // bytes moved; more may be there: call again before waiting
  kDrained,  // bytes moved, and no more are there
  kBlocked,  // arm and wait; bytes may have moved (writes)
  kEof,      // the peer has closed its side
  kFailed,
};

struct IoResult {
  IoState state = IoState::kFailed;
  std::size_t bytes = 0;
  int system_error = 0;    // errno
  const char* cause = "";  // a literal, for the log

  bool moved() const { return state == IoState::kDone || state == IoState::kDrained; }
};

/// A connected stream socket (TCP or Unix) of one shard. Input and output are direct non-blocking system calls. When one would
/// block, call `arm_read` or `arm_write`: the shard's poller wakes the Waker when the socket is ready. Move-only; closed when
/// destroyed.
class Socket {
 public:
  Socket() = default;
  /// Takes over `descriptor`, makes it non-blocking and registers it with the shard. When memory is short, closes it and throws
  /// std::bad_alloc.
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

  /// Sets the Waker that readiness wakes; nullptr: none. It must live until the next call, or until the socket is closed.
  void set_waker(Waker* waker);
  /// Wakes once when the socket is readable (also: ended or failed). Stays armed until then; a second call has no effect.
  void arm_read();
  void arm_write();
  /// Wakes from the event loop, as if the socket had become ready.
  void wake_soon();
  /// Whether `arm_read` was called and has not fired yet: then nothing new has arrived.
  bool read_armed() const;

  IoResult read(std::span<char> into) const;
  /// Like `read`, but the bytes stay in the kernel. `arm_read` after this wakes when more bytes have arrived.
  IoResult peek(std::span<char> into) const;
  /// Writes as much of `pieces` as the kernel takes. kDone: all of it; kBlocked: `bytes` of it.
  IoResult write(std::span<const iovec> pieces) const;
  IoResult write(std::string_view bytes) const;

  /// Closes our side; the peer sees the end of the stream.
  void shutdown_write() const;
  /// Whether bytes or the end of the stream have arrived in the kernel, even if the Waker was not woken yet.
  bool has_arrived() const;
  /// Whether the peer has closed its side, even if bytes before the end were not read yet.
  bool peer_has_ended() const;
  /// Bytes that the kernel has taken since the socket was made.
  std::uint64_t bytes_sent() const { return traffic_.sent; }
  /// Stores how many bytes the peer has acknowledged. Called when these are all bytes sent so far, before sending those that
  /// `ended_before_receiving` is to check.
  void note_acknowledged();
  /// Whether it is certain that the peer has received nothing beyond the first `sent` bytes (of `bytes_sent`), and will process
  /// nothing more: it has closed its side with a FIN, which acknowledges all that had arrived by then, and it has acknowledged
  /// no more than those bytes. A reset proves nothing: the peer may have read bytes without acknowledging them (docs/decisions,
  /// 0007).
  bool ended_before_receiving(std::uint64_t sent) const;
  /// Whether the peer has closed its side with a FIN, everything before it was read, and no other failure came first.
  bool ended_in_order() const;
  /// Whether the connection attempt has succeeded. False with `error` 0: it is in progress, call `arm_write`. Other `error`: it
  /// failed.
  bool is_connected(int& error) const;
  /// Closes with a reset instead of an orderly end, so that the peer does not take a partial message for complete.
  void reset();
  void close();
  /// Returns the descriptor without closing it, so that another shard may take it over.
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
    bool has_failed = false;  // in another way than EPIPE, which may follow a FIN
    std::uint64_t sent_when_noted = 0;
    std::optional<std::uint64_t> acknowledged_when_noted;  // as the kernel counts
  };
  mutable Traffic traffic_;
};

/// Starts a connection to `address` (sockaddr bytes). The result is open and becomes writable when the attempt has succeeded or
/// failed. If it fails at once, the result is not open and `error` is set; perhaps this machine is short of something
/// (`is_our_shortage`).
Socket start_connect(Shard& shard, std::span<const std::byte> address, int& error);

}  // namespace router::runtime
