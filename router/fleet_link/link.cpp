#include "router/fleet_link/link.h"

#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <cerrno>
#include <utility>

#include "router/base/assert.h"

namespace router::fleet_link {

using runtime::IoResult;
using runtime::IoState;

namespace {

bool is_reset(int error) { return error == ECONNRESET || error == EPIPE; }

}  // namespace

Link::Link(Origin origin, tls::Stream stream)
    : origin_(std::move(origin)), life_(origin_.life.get()), stream_(std::move(stream)) {
  stream_.socket().set_waker(&life_->wakeup());
}

Task<std::optional<Unopened>> Link::shake_hands(Deadline deadline) {
  for (IoResult shaken = stream_.handshake(); shaken.state != IoState::kDone; shaken = stream_.handshake()) {
    // TLS would say that there is no cipher in common: a peer that does not know the key has none.
    const bool is_tls = shaken.state == IoState::kFailed && shaken.system_error == 0;
    if (is_tls) co_return Unopened{"the peer does not have the key of this router, or the other way round", 0};
    if (shaken.state != IoState::kBlocked) co_return Unopened{shaken.cause, shaken.system_error};
    const bool woken = co_await wait(deadline);
    if (!woken) co_return Unopened{"no TLS handshake in time", 0};
    if (life_->cancelled()) co_return Unopened{"closed", 0};
  }
  co_return std::nullopt;
}

Task<std::optional<std::string>> Link::first_frame(Deadline deadline) {
  std::optional<std::string> first;
  for (;;) {
    // Frames behind the hello wait in `early_`: the peer may send them at once.
    std::string_view input = read_some();
    const FrameSplitter::Step step = in_.next(input);
    if (step.state == FrameSplitter::State::kTooLong) end_as(Ended::kTooLong);
    if (step.state == FrameSplitter::State::kFrame) {
      first.emplace(step.frame);
      early_.assign(input);
      if (life_->cancelled()) first.reset();
      co_return first;
    }
    if (ended()) co_return std::nullopt;
    const bool woken = co_await wait(deadline);
    if (!woken || life_->cancelled()) co_return std::nullopt;
    flush();
  }
}

std::optional<std::chrono::microseconds> Link::round_trip() {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (::getsockopt(stream_.socket().descriptor(), IPPROTO_TCP, TCP_INFO, &info, &size) != 0 || info.tcpi_rtt == 0)
    return std::nullopt;
  return std::chrono::microseconds(info.tcpi_rtt);
}

std::size_t Link::unsent() {
  int in_kernel = 0;
  if (::ioctl(stream_.socket().descriptor(), SIOCOUTQNSD, &in_kernel) != 0) in_kernel = 0;
  return out_.size() - sent_ + static_cast<std::size_t>(in_kernel);
}

void Link::send(std::string_view frame) {
  ROUTER_ASSERT(frame.size() <= kFrameMax);
  if (deaf_) return;
  if (out_.size() - sent_ + frame.size() + kFrameHeader > origin_.unsent_max) return end_as(Ended::kSlow);
  const std::array<char, kFrameHeader> header = frame_header(frame.size());
  out_.reserve(out_.size() + header.size() + frame.size());  // both or none
  out_.append(header.data(), header.size());
  out_.append(frame);
  if (!blocked_) flush();
}

void Link::flush() {
  while (has_unsent() && !deaf_) {
    const iovec piece{out_.data() + sent_, out_.size() - sent_};
    const IoResult wrote = stream_.write(std::span(&piece, 1));
    sent_ += wrote.bytes;
    blocked_ = wrote.state == IoState::kBlocked;
    if (blocked_) {
      // What was sent is dropped now and then, not for every piece.
      if (sent_ > out_.size() / 2) out_.erase(0, std::exchange(sent_, 0));
      return stream_.arm_write();
    }
    if (wrote.state != IoState::kDone) {
      // After a reset, bytes that arrived before it can still be read, perhaps a bye.
      deaf_ = true;
      if (!is_reset(wrote.system_error)) end_by(wrote);
    }
  }
  std::string().swap(out_);
  sent_ = 0;
}

std::string_view Link::read_some() {
  if (!early_.empty()) {
    given_ = std::exchange(early_, std::string());
    return given_;
  }
  const std::span<char> room = life_->shard().scratch();
  const IoResult got = stream_.read(room);
  if (got.moved()) return {room.data(), got.bytes};
  if (got.state != IoState::kBlocked) end_by(got);
  return {};
}

void Link::end_by(const IoResult& result) {
  if (result.state == IoState::kEof) return end_as(Ended::kFin);
  if (is_reset(result.system_error)) return end_as(Ended::kReset);
  if (result.system_error != 0) return end_as(Ended::kSilence);
  // TLS reports a FIN without close_notify as a failure of its own.
  end_as(stream_.socket().peer_has_ended() ? Ended::kFin : Ended::kProtocol);
}

void Link::end_as(Ended how) noexcept {
  if (end_) return;
  end_ = how;
  life_->cancel();
}

Ended Link::how() const {
  const bool from_outside = end_ == Ended::kFin || end_ == Ended::kReset || end_ == Ended::kSilence;
  return bye && from_outside ? Ended::kBye : *end_;
}

Task<void> Link::close(Deadline deadline) {
  if (ends_in_order() && !deaf_) co_await say_goodbye(deadline);
  if (end_ == Ended::kProtocol || end_ == Ended::kTooLong || end_ == Ended::kSlow) stream_.socket().reset();
  stream_.close();
}

Task<void> Link::say_goodbye(Deadline deadline) {
  flush();
  for (bool in_time = true; has_unsent() && !deaf_ && in_time; flush()) in_time = co_await wait(deadline);
  if (deaf_) co_return;
  stream_.shutdown_write();
  const std::span<char> room = life_->shard().scratch();
  for (IoResult got = stream_.read(room); got.moved() || got.state == IoState::kBlocked; got = stream_.read(room)) {
    const bool woken = co_await wait(deadline);
    if (!woken) co_return;
  }
}

}  // namespace router::fleet_link
