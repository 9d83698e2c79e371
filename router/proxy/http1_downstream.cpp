#include "router/proxy/http1_downstream.h"

#include "router/http/framing.h"
#include "router/http/hop_by_hop.h"
#include "router/http1/body_size.h"
#include "router/proxy/heads.h"
#include "router/proxy/server.h"
#include "router/runtime/tcp_acknowledged.h"

namespace router::proxy {

using runtime::IoResult;
using runtime::IoState;

namespace {

constexpr std::size_t kMoreBytes = 16 * 1024;
constexpr std::size_t kMoreFields = 32;

}  // namespace

Http1Downstream::Http1Downstream(ShardServer& server, ListenerId listener, tls::Stream& stream, runtime::Wakeup& wakeup,
                                 const Peer& peer)
    : server_(server),
      listener_(listener),
      stream_(stream),
      wakeup_(wakeup),
      peer_(peer),
      input_(server.shard(), Origin::kDownstream),
      output_(server.shard().buffers()),
      head_(server.heads().take()) {}

Http1Downstream::Http1Downstream(ShardServer& server, tls::Stream& stream, runtime::Wakeup& wakeup, const Peer& peer)
    : Http1Downstream(server, kMembers, stream, wakeup, peer) {}

Http1Downstream::~Http1Downstream() { server_.heads().give(std::move(head_)); }

/// The method of a refused head may not have been parsed. If it is HEAD, the answer must not have a body (RFC 9110, 9.3.2).
Failure Http1Downstream::refused(const Failure& failure) {
  if (input_.head_begins_with("HEAD ")) head_->method = http::Method::kHead;
  return failure;
}

Task<Result<Http1Downstream::Next>> Http1Downstream::next_head(IdleConnections::Entry* idle) {
  HeadPool::forget(*head_);
  responded_ = continued_ = watching_ = until_close_ = false;
  // A router adds to the head of a client what the pod is to get, and what it tells the other router.
  const std::size_t max_bytes =
      server_.view()->limits.max_header_bytes * (is_member() ? 2 : 1) + (is_member() ? kMoreBytes : 0);
  const std::size_t max_fields = server_.view()->limits.max_header_fields + (is_member() ? kMoreFields : 0);
  const Deadline deadline = deadline_after(server_.shard().now(), server_.view()->limits.header_timeout);
  Result<std::string_view> bytes = input_.head(stream_, max_bytes);
  bool waited = false;
  while (bytes && bytes->empty()) {
    if (server_.grace_over()) co_return Next::kEnd;
    if (!input_.begun()) co_return Next::kNothing;
    if (idle != nullptr && !waited) idle->begin(server_.shard().now());
    waited = true;
    stream_.arm_read();
    const bool woken = co_await wakeup_.wait(deadline);
    if (idle != nullptr && idle->cut()) co_return Next::kEnd;
    if (!woken) {
      bytes = Failure::downstream(Reason::kClientTimeout, "the head did not arrive within header_timeout_ms");
    } else {
      bytes = input_.head(stream_, max_bytes);
    }
  }
  if (idle != nullptr && waited) idle->leave();
  if (!bytes && bytes.error().reason == Reason::kClientClosed) co_return Next::kEnd;
  if (!bytes) co_return refused(bytes.error());
  if (const Result<void> parsed = http::parse_request(*bytes, *head_, max_fields); !parsed) co_return refused(parsed.error());
  const Result<http::Framing> framing = http::request_framing(*head_);
  if (!framing) co_return framing.error();
  input_.begin_body(*framing);
  if (!http::keeps_alive(*head_)) close_after_ = true;
  co_return Next::kRequest;
}

bool Http1Downstream::finish() {
  // The drain does not matter here: if the head of the answer was sent before the drain began, it said that the connection
  // continues.
  const bool goes_on = !close_after_ && !until_close_ && input_.body_ended() && output_.body_ended() &&
                       output_.queue().empty() && stream_.is_open();
  input_.finish();
  return goes_on;
}

Task<void> Http1Downstream::linger() {
  constexpr std::chrono::seconds kLinger{2};
  if (!stream_.is_open()) co_return;
  runtime::Shard& shard = server_.shard();
  const Deadline deadline = deadline_after(shard.now(), kLinger);
  stream_.shutdown_write();
  while (shard.now() < deadline) {
    const IoResult dropped = stream_.read(shard.scratch());
    if (dropped.state == IoState::kEof || dropped.state == IoState::kFailed) co_return;
    if (dropped.state == IoState::kDone) {
      co_await wakeup_.wait(shard.now());  // yield to other exchanges
      continue;
    }
    stream_.arm_read();
    co_await wakeup_.wait(deadline);
  }
}

Result<Downstream::Arrived> Http1Downstream::body_arrived() {
  const Result<bool> whole = input_.has_arrived();
  if (!whole) return whole.error();
  return Arrived{input_.unread_bytes(), *whole};
}

void Http1Downstream::keep_request() {
  const http::Framing& framing = input_.framing();
  const bool too_large = framing.kind == http::Framing::Kind::kLength && framing.length > http1::MessageInput::kReplayBytes;
  if (!too_large) input_.keep_body();
}

stream::Progress Http1Downstream::drop_request() {
  struct Nowhere final : stream::BodySink {
    void body_piece(std::string_view) override {}
    void body_end(const http::Fields*) override {}
  } nowhere;
  if (input_.body_ended() || close_after_ || !stream_.is_open()) return stream::Progress::kEnded;
  const Result<stream::Progress> dropped = input_.read_body(stream_, nowhere);
  if (!dropped) {
    close_after_ = true;
    return stream::Progress::kEnded;
  }
  return *dropped == stream::Progress::kDrained ? stream::Progress::kBlocked : *dropped;
}

/// Whether the connection can continue although a part of this request's body has not arrived. The end of a chunked body is not
/// known. Neither is it known whether a client that waits for 100 (Continue) will send its body without one (RFC 9110, 10.1.1).
bool Http1Downstream::next_request_is_near() const {
  if (input_.body_ended()) return true;
  const http::Framing& framing = input_.framing();
  if (framing.kind != http::Framing::Kind::kLength) return false;
  const bool has_begun = continued_ || input_.body_bytes() > 0 || input_.has_unread();
  if (!has_begun && http::expects_continue(*head_)) return false;
  return framing.length - input_.body_bytes() <= kDroppedMax;
}

void Http1Downstream::begin_head(int status, std::string_view reason_phrase) {
  responded_ = true;
  output_.begin_response(status, reason_phrase, 1);
}

void Http1Downstream::end_head(stream::BodySize size) {
  http::Framing framing = http1::framing_of(size);
  const bool ends = is_member() ? server_.closing_idle() : server_.draining() || !server_.is_open(listener_);
  if (ends || !next_request_is_near()) close_after_ = true;
  if (framing.kind == http::Framing::Kind::kChunked && head_->minor_version == 0) {
    framing.kind = http::Framing::Kind::kUntilClose;
    until_close_ = true;
  }
  if (close_after_ || until_close_) {
    output_.field("Connection", "close");
  } else if (head_->minor_version == 0) {
    output_.field("Connection", "keep-alive");
  }
  output_.end_head(framing);
}

std::string_view Http1Downstream::date() { return server_.date().at(server_.shard().now()); }

bool Http1Downstream::interim(const http::ResponseHead& head) {
  if (head_->minor_version == 0) return false;  // RFC 9110, 15.2: an HTTP/1.0 client does not know them
  if (head.status == 100) {
    if (continued_ || input_.has_unread() || request_received()) return false;  // the client does not wait
    continued_ = true;
  }
  output_.interim(head.status, head.reason_phrase);
  const http::HopByHop hop_by_hop(head.fields);
  for (const http::FieldLine& line : head.fields) {
    // An interim response has no body. A parser that uses its length all the same would take the answer for this body (RFC
    // 9110, 8.6).
    if (replaced_in_response(line.id, true) || hop_by_hop.contains(line)) continue;
    output_.field(line.name, line.value);
  }
  output_.end_interim();
  return true;
}

Result<void> Http1Downstream::flush() {
  const IoResult sent = output_.queue().flush(stream_);
  if (sent.state == IoState::kFailed) return Failure::downstream(Reason::kClientClosed, sent.cause, sent.system_error);
  return {};
}

std::uint64_t Http1Downstream::bytes_taken() const {
  return runtime::acknowledged_by_peer(stream_.socket().descriptor()).value_or(0);
}

void Http1Downstream::leave(stream::Leaving how) {
  if (how == stream::Leaving::kReusable) return;
  close_after_ = true;
  if (how == stream::Leaving::kClose) return;
  output_.queue().clear();
  if (is_member()) return;
  // With a length or chunks the client detects that bytes are missing. A body that ends with the connection needs a TCP reset
  // for that.
  until_close_ ? stream_.socket().reset() : stream_.close();
}

void Http1Downstream::arm_read() {
  stream_.arm_read();
  watching_ = true;
}

void Http1Downstream::arm_write() { stream_.arm_write(); }

Result<void> Http1Downstream::still_wanted() {
  if (const Result<void> grace = within_grace(); !grace) return grace;
  // While the stream is still armed, nothing has arrived, so no read is needed.
  if (watching_ && stream_.socket().read_armed()) return {};
  if (watching_) {
    if (const Result<void> read = input_.read_ahead(stream_); !read) return read;
  }
  // If the client has filled the buffer, its further bytes would wake the exchange again and again. `ask_again` polls this
  // client instead.
  if (input_.ahead_is_full()) return {};
  watching_ = true;
  stream_.arm_read();
  return {};
}

Deadline Http1Downstream::ask_again(TimePoint now) const {
  constexpr std::chrono::milliseconds kLook{50};
  return input_.ahead_is_full() ? now + kLook : kNever;
}

Result<void> Http1Downstream::may_take_slot() const {
  if (server_.refuses_waiters()) return Failure::internal(Reason::kDraining, "the drain's grace is over");
  return {};
}

Result<void> Http1Downstream::within_grace() const {
  if (server_.grace_over()) return Failure::internal(Reason::kDraining, "the drain's grace is over");
  return {};
}

}  // namespace router::proxy
