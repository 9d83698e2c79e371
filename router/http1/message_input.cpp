#include "router/http1/message_input.h"

#include <algorithm>
#include <utility>

namespace router::http1 {

using runtime::IoResult;
using runtime::IoState;

MessageInput::MessageInput(runtime::Shard& shard, Origin origin)
    : shard_(shard), origin_(origin), block_(shard.buffers()), ahead_(shard.buffers()) {}

Failure MessageInput::ended(const char* cause, int system_error) const {
  return origin_ == Origin::kDownstream ? Failure::downstream(Reason::kClientClosed, cause, system_error)
                                        : Failure::upstream(Reason::kUpstreamReset, cause, system_error);
}

Result<std::string_view> MessageInput::head(tls::Stream& stream, std::size_t max_bytes) {
  for (int reads = 0;;) {
    if (!block_.empty()) {
      // Empty lines before a request line are tolerated (RFC 9112, 2.2).
      if (origin_ == Origin::kDownstream && head_bytes_ == 0 && block_.view().starts_with("\r\n")) {
        if (++empty_lines_ > kEmptyLinesMax)
          return Failure::downstream(Reason::kBadRequest, "too many empty lines before the request");
        block_.consume(2);
        scanner_ = {};
        continue;
      }
      head_bytes_ = scanner_.scan(block_.view());
      const std::size_t so_far = head_bytes_ > 0 ? head_bytes_ : block_.size();
      if (so_far > max_bytes) {
        if (origin_ == Origin::kUpstream)
          return Failure::upstream(Reason::kUpstreamInvalidResponse, "the pod's head is too large");
        if (block_.view().substr(0, max_bytes).find('\n') == std::string_view::npos) {
          return Failure::downstream(Reason::kTargetTooLong, "the request target is larger than max_header_bytes");
        }
        return Failure::downstream(Reason::kHeadersTooLarge, "the head is larger than max_header_bytes");
      }
      if (head_bytes_ > 0) {
        position_ = head_bytes_;
        return block_.view().substr(0, head_bytes_);
      }
    }
    if (++reads > kReadsMax) return std::string_view{};
    if (block_.space().empty()) block_.reserve(1);
    const IoResult got = stream.read(block_.space());
    if (got.moved()) {
      block_.commit(got.bytes);
      continue;
    }
    if (got.state == IoState::kBlocked) {
      if (block_.empty()) block_.release();
      return std::string_view{};
    }
    return got.state == IoState::kEof ? ended("the peer closed the connection") : ended(got.cause, got.system_error);
  }
}

void MessageInput::skip_head() {
  block_.consume(head_bytes_);
  head_bytes_ = position_ = 0;
  scanner_ = {};
}

void MessageInput::begin_body(http::Framing framing) {
  decoder_ = http::BodyDecoder(framing, origin_);
  body_bytes_ = 0;
  looked_ = 0;
  keeps_ = missed_ = false;
}

bool MessageInput::rewind() {
  if (missed_) return false;
  begin_body(decoder_.framing());
  position_ = head_bytes_;
  ahead_used_ = 0;
  return true;
}

void MessageInput::consume_ahead(std::size_t bytes) {
  ahead_used_ += bytes;
  const bool fits = position_ - head_bytes_ + ahead_used_ <= kReplayBytes;
  if (keeps_ && fits) return;
  keeps_ = false;
  missed_ = missed_ || ahead_used_ > 0;
  ahead_.consume(std::exchange(ahead_used_, 0));
}

Result<std::size_t> MessageInput::decode(std::string_view input, stream::BodySink& sink) {
  std::size_t used = 0;
  while (!decoder_.ended()) {
    const Result<http::BodyDecoder::Step> step = decoder_.next(input.substr(used));
    if (!step) return step.error();
    used += step->consumed;
    if (!step->bytes.empty()) {
      body_bytes_ += step->bytes.size();
      sink.body_piece(step->bytes);
    }
    if (step->consumed == 0) break;
  }
  return used;
}

Result<stream::Progress> MessageInput::read_body(tls::Stream& stream, stream::BodySink& sink) {
  if (decoder_.ended()) {
    sink.body_end(nullptr);
    return stream::Progress::kEnded;
  }
  const std::string_view early = block_.view().substr(position_);
  if (!early.empty()) {
    const Result<std::size_t> used = decode(early, sink);
    if (!used) return used.error();
    position_ += *used;
  } else if (ahead_.size() > ahead_used_) {
    const Result<std::size_t> used = decode(ahead_.view().substr(ahead_used_), sink);
    if (!used) return used.error();
    consume_ahead(*used);
    return end_of_read(stream::Progress::kMoved, sink);
  }
  // The bytes that arrived with the head stay valid in block_, so they are sent together with the bytes that are read now.
  if (decoder_.ended() || has_unread()) return end_of_read(stream::Progress::kMoved, sink);
  const std::span<char> scratch = shard_.scratch();
  const IoResult got = stream.read(scratch);
  if (got.state == IoState::kBlocked) return early.empty() ? stream::Progress::kBlocked : stream::Progress::kDrained;
  if (got.state == IoState::kFailed) return ended(got.cause, got.system_error);
  if (got.state == IoState::kEof) {
    if (const Result<void> closed = decoder_.closed(); !closed) return closed.error();
    return end_of_read(stream::Progress::kMoved, sink);
  }
  const std::string_view arrived(scratch.data(), got.bytes);
  const Result<std::size_t> used = decode(arrived, sink);
  if (!used) return used.error();
  ahead_.append(keeps_ ? arrived : arrived.substr(*used));
  if (keeps_) {
    consume_ahead(*used);
  } else {
    missed_ = true;
  }
  return end_of_read(got.state == IoState::kDrained ? stream::Progress::kDrained : stream::Progress::kMoved, sink);
}

stream::Progress MessageInput::end_of_read(stream::Progress progress, stream::BodySink& sink) {
  if (!decoder_.ended()) return progress;
  sink.body_end(decoder_.trailers());
  return stream::Progress::kEnded;
}

Result<bool> MessageInput::has_arrived() {
  const http::Framing& framing = decoder_.framing();
  if (framing.kind != http::Framing::Kind::kChunked) return decoder_.ended() || unread_bytes() >= framing.length;
  if (looked_ == 0) look_ahead_ = http::BodyDecoder(framing, origin_);
  const std::string_view early = block_.view().substr(position_);
  while (!look_ahead_.ended() && looked_ < unread_bytes()) {
    const bool is_early = looked_ < early.size();
    const std::string_view rest = is_early ? early.substr(looked_) : ahead_.view().substr(ahead_used_ + looked_ - early.size());
    const Result<http::BodyDecoder::Step> step = look_ahead_.next(rest);
    if (!step) return step.error();
    if (step->consumed == 0) break;
    looked_ += step->consumed;
  }
  return look_ahead_.ended();
}

Result<void> MessageInput::read_ahead(tls::Stream& stream) {
  for (int reads = 0; reads < kReadsMax; ++reads) {
    if (ahead_is_full()) {
      // The rest stays in the kernel's buffer. Only the end of the connection can still be noticed.
      if (stream.socket().peer_has_ended()) return ended("the peer closed the connection");
      return {};
    }
    if (ahead_.space().empty()) ahead_.reserve(1);
    const std::span<char> space = ahead_.space();
    const IoResult got = stream.read(space.first(std::min(space.size(), kAheadBytes - unread_bytes())));
    if (got.moved()) ahead_.commit(got.bytes);
    if (got.state == IoState::kEof) return ended("the peer closed the connection");
    if (got.state == IoState::kFailed) return ended(got.cause, got.system_error);
    if (got.state == IoState::kDone) continue;
    if (ahead_.empty()) ahead_.release();
    return {};
  }
  return {};
}

void MessageInput::finish() {
  empty_lines_ = 0;
  block_.consume(position_);
  ahead_.consume(std::exchange(ahead_used_, 0));
  head_bytes_ = position_ = 0;
  scanner_ = {};
  decoder_ = {};
  if (block_.empty()) {
    block_ = std::move(ahead_);
    ahead_ = block_.same_pool();
  } else if (!ahead_.empty()) {
    block_.append(ahead_.view());
    ahead_.release();
  }
  if (block_.empty()) block_.release();
}

}  // namespace router::http1
