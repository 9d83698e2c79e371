#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "router/http/framing.h"
#include "router/http1/message_input.h"
#include "router/runtime/wakeup.h"
#include "tests/support/quiet_downstream.h"
#include "tests/support/test_shard.h"

namespace router::test {

/// A client without a socket. The test decides what it sends, when it takes nothing, when it leaves, and which steps of the
/// drain have been taken, and then examines its answer. It wakes its exchange only where the exchange has armed a wake-up.
class ScriptedClient final : public QuietDownstream {
 public:
  using Progress = stream::Progress;

  ScriptedClient(runtime::Wakeup& wakeup, std::string head) : wakeup_(wakeup), head_text_(std::move(head)) {
    http::parse_request(head_text_, asked()).value();
    const http::Framing framing = http::request_framing(asked()).value();
    if (framing.kind == http::Framing::Kind::kLength) size_ = {stream::BodySize::Kind::kLength, framing.length};
    if (framing.kind == http::Framing::Kind::kChunked) size_ = {stream::BodySize::Kind::kUnknown};
    body_.reserve(kBodyMax);  // pieces are views into it, so it must not move
  }

  // --- what the client does ---
  void send(std::string_view bytes) {
    body_.append(bytes);
    notify(read_armed_);
  }
  /// Ends a body without a length.
  void end_body() {
    whole_ = true;
    notify(read_armed_);
  }
  /// Ends its side (FIN): it sends nothing more, and the kernel still takes the bytes that are sent to it.
  void leave() {
    left_ = true;
    notify(read_armed_);
  }
  /// Its connection is reset.
  void vanish() {
    vanished_ = true;
    leave();
    notify(write_armed_);
  }
  void take_nothing() { takes_ = false; }
  void take_all() {
    takes_ = true;
    notify(write_armed_);
  }
  /// Takes `bytes` of the bytes that wait for it, and no others later. It wakes no exchange: the socket is not writable yet.
  void take(std::size_t bytes) { taken_ += bytes; }
  void break_body() {
    malformed_ = true;
    notify(read_armed_);
  }

  // --- how the drain notifies its connection ---
  void refuse_waiters_unheard() { refuses_waiters_ = true; }  // without a wake-up: another event wakes the exchange first
  void refuse_waiters() {
    refuses_waiters_ = true;
    notify_drain();
  }
  void end_grace() {
    refuses_waiters_ = grace_over_ = true;
    notify_drain();
  }

  // --- what the client received ---
  int status = 0;
  std::string reason;  // x-router-reason
  std::string answer;  // bytes of the body, whether the client has taken them or not
  bool complete = false;
  bool cut = false;
  int continues = 0;
  int interims = 0;
  bool told_to_close = false;
  std::string header(std::string_view name) const {
    for (const auto& [each, value] : fields_) {
      if (each == name) return value;
    }
    return "";
  }
  bool watched() const { return read_armed_; }
  bool kept() const { return kept_; }  // the body, so that it can be sent again

  // --- Downstream ---
  stream::BodySize request_size() const override { return size_; }
  Result<Progress> read_body(stream::BodySink& sink) override {
    if (request_received()) return Progress::kEnded;
    if (malformed_) return Failure::downstream(Reason::kBadRequest, "planted");
    const std::string_view piece = std::string_view(body_).substr(read_, kPieceMax);
    if (piece.empty() && !has_all()) return left_ ? client_closed() : Result<Progress>(Progress::kBlocked);
    if (!piece.empty()) sink.body_piece(piece);
    read_ += piece.size();
    if (!has_all() || read_ < body_.size()) return read_ < body_.size() ? Progress::kMoved : Progress::kDrained;
    sink.body_end(nullptr);
    received_ = true;
    return Progress::kEnded;
  }
  bool request_received() const override { return received_ || size_.kind == stream::BodySize::Kind::kNone; }
  std::uint64_t request_bytes() const override { return read_; }
  Result<Arrived> body_arrived() override {
    if (malformed_) return Failure::downstream(Reason::kBadRequest, "planted");
    return Arrived{body_.size() - read_, has_all()};
  }
  void keep_request() override { kept_ = true; }
  bool rewind_request() override {
    if (!(kept_ || read_ == 0) || read_ > http1::MessageInput::kReplayBytes) return false;
    read_ = 0;
    received_ = false;
    return true;
  }
  Progress drop_request() override {
    if (request_received() || told_to_close || cut) return Progress::kEnded;
    read_ = body_.size();
    if (has_all()) received_ = true;
    if (left_) told_to_close = true;
    return received_ || left_ ? Progress::kEnded : Progress::kBlocked;
  }

  void begin_head(int begun, std::string_view) override {
    status = begun;
    given_ += 100;
  }
  bool interim(const http::ResponseHead& head) override {
    if (head.status == 100) {
      if (body_.empty()) ++continues;
      return body_.empty();
    }
    ++interims;
    given_ += 100;
    return true;
  }
  void field(std::string_view name, std::string_view value) override {
    if (name == "x-router-reason") reason = value;
    fields_.emplace_back(name, value);
  }
  void body_piece(std::string_view bytes) override {
    answer += bytes;
    given_ += bytes.size();
  }
  void body_end(const http::Fields*) override { complete = true; }
  Result<void> flush() override {
    if (vanished_ && !cut) return Failure::downstream(Reason::kClientClosed, "the client closed the connection");
    if (takes_) taken_ += std::exchange(given_, 0);
    blocked_ = given_ > 0;
    return {};
  }
  bool blocked() const override { return blocked_; }
  bool responded() const override { return status != 0; }
  std::uint64_t response_bytes() const override { return answer.size(); }
  std::uint64_t bytes_taken() const override { return taken_; }
  void leave(stream::Leaving how) override {
    if (how == stream::Leaving::kClose) told_to_close = true;
    if (how != stream::Leaving::kReset) return;
    cut = true;
    blocked_ = false;
    given_ = 0;
  }
  void arm_read() override { read_armed_ = true; }
  void arm_write() override { write_armed_ = true; }
  Result<void> still_wanted() override {
    if (const Result<void> grace = within_grace(); !grace) return grace;
    if (left_) return Failure::downstream(Reason::kClientClosed, "the client closed the connection");
    read_armed_ = !ahead_is_full();
    return {};
  }
  Result<void> may_take_slot() const override { return refuses_waiters_ ? draining() : Result<void>(); }
  Result<void> within_grace() const override { return grace_over_ ? draining() : Result<void>(); }
  Deadline ask_again(TimePoint now) const override { return ahead_is_full() ? now + std::chrono::milliseconds(50) : kNever; }

 private:
  static constexpr std::size_t kPieceMax = 256 * 1024;
  static constexpr std::size_t kBodyMax = 4 * 1024 * 1024;

  static Failure client_closed() { return Failure::downstream(Reason::kClientClosed, "the client closed the connection"); }
  static Result<void> draining() { return Failure::internal(Reason::kDraining, "the drain's grace is over"); }
  bool has_all() const { return size_.kind == stream::BodySize::Kind::kLength ? body_.size() >= size_.length : whole_; }
  bool ahead_is_full() const { return body_.size() - read_ >= http1::MessageInput::kAheadBytes; }
  void notify(bool& armed) {
    if (std::exchange(armed, false)) wake();
  }
  void notify_drain() { wake(); }  // like the server, whatever the exchange waits for
  void wake() {
    wakeup_.wake();
    poll(wakeup_.shard());
  }

  runtime::Wakeup& wakeup_;
  const std::string head_text_;
  stream::BodySize size_;
  std::string body_;      // all bytes that the client has sent
  std::size_t read_ = 0;  // bytes that the exchange has read
  bool whole_ = false;
  bool received_ = false;
  bool kept_ = false;
  bool malformed_ = false;
  bool left_ = false;
  bool vanished_ = false;
  bool takes_ = true;
  bool blocked_ = false;
  std::size_t given_ = 0;
  std::uint64_t taken_ = 0;
  bool refuses_waiters_ = false;
  bool grace_over_ = false;
  bool read_armed_ = false;
  bool write_armed_ = false;
  std::vector<std::pair<std::string, std::string>> fields_;
};

}  // namespace router::test
