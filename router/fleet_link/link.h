#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "router/base/task.h"
#include "router/fleet_link/frame.h"
#include "router/fleet_link/life.h"
#include "router/fleet_link/link_events.h"
#include "router/runtime/socket.h"
#include "tls/stream.h"

namespace router::fleet_link {

/// Why a link could not be opened; a literal, and errno or 0.
struct Unopened {
  const char* cause = "";
  int system_error = 0;
};

/// One link: frames on a TLS stream. Its coroutine waits at the wakeup of `life`. It has ended when `end_as` was called, by its
/// own reading or by others; the coroutine then closes it. The fleet's thread.
class Link {
 public:
  struct Origin {
    bool dialled = false;                 // by this process
    std::shared_ptr<const void> context;  // the TLS context, which outlives the stream
    std::shared_ptr<Life> life;           // cancelled before the link is open: close it
    std::size_t unsent_max = 0;           // bytes of frames that wait for the peer
  };
  Link(Origin origin, tls::Stream stream);
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  /// The TLS handshake. Returns nothing when it is complete.
  Task<std::optional<Unopened>> shake_hands(Deadline deadline);
  /// The first frame of the peer, its hello. Nothing: it did not come in time, or the link has ended.
  Task<std::optional<std::string>> first_frame(Deadline deadline);

  /// The kernel's estimate; nothing before its first sample.
  std::optional<std::chrono::microseconds> round_trip();

  /// Queues a frame of at most kFrameMax bytes, and sends what the kernel takes. With more than `unsent_max` the link ends.
  void send(std::string_view frame);
  /// Bytes of frames that the kernel has not begun to send, in this process and in the kernel.
  std::size_t unsent();
  /// Sends what waits. After each wake.
  void flush();
  /// Reads once, at most 256 KB, and calls `take` with each frame until the link has ended.
  template <class Take>
  void read(Take take) {
    std::string_view input = read_some();
    while (!ended()) {
      const FrameSplitter::Step step = in_.next(input);
      if (step.state == FrameSplitter::State::kPartial) return;
      if (step.state == FrameSplitter::State::kTooLong) return end_as(Ended::kTooLong);
      take(step.frame);
    }
  }
  /// Wakes when there is more to read, when the kernel takes more, or when the link has ended.
  auto wait(Deadline deadline) {
    stream_.arm_read();
    return life_->wakeup().wait(deadline);
  }

  /// Ends the link; the first reason stays. May be called inside any coroutine.
  void end_as(Ended how) noexcept;
  bool ended() const { return end_.has_value(); }
  /// How it has ended. After a bye every end that comes from the peer or the network is kBye.
  Ended how() const;
  /// Closes the socket. If this side has ended the link, sends what waits and waits for the peer's end first, so that no reset
  /// overtakes the last frame.
  Task<void> close(Deadline deadline);

  // Set by Links:
  LinkNumber number = 0;
  std::string member;
  bool bye = false;      // the peer has said that it goes, on this link or another
  bool settled = false;  // a frame has come since it is open
  bool dialled() const { return origin_.dialled; }

 private:
  std::string_view read_some();
  void end_by(const runtime::IoResult& result);
  bool ends_in_order() const { return end_ == Ended::kLocal || end_ == Ended::kReplaced; }
  Task<void> say_goodbye(Deadline deadline);
  bool has_unsent() const { return blocked_ || sent_ < out_.size(); }

  Origin origin_;
  Life* const life_;
  tls::Stream stream_;
  FrameSplitter in_;
  std::string early_;     // bytes that came behind the hello
  std::string given_;     // the same, while they are read
  std::string out_;       // frames that wait to be sent, from `sent_` on
  std::size_t sent_ = 0;  // bytes of them that the stream has taken
  bool blocked_ = false;  // the last write was
  bool deaf_ = false;     // the peer takes nothing any more
  std::optional<Ended> end_;
};

}  // namespace router::fleet_link
