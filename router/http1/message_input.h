#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "router/base/result.h"
#include "router/http/framing.h"
#include "router/http/head.h"
#include "router/runtime/buffer.h"
#include "router/runtime/shard.h"
#include "router/stream/body.h"
#include "tls/stream.h"

namespace router::http1 {

/// The reading side of an HTTP/1.1 connection: head, body, and bytes that arrive before they are needed. Holds memory only
/// while a message is under way. For requests and responses; `origin` decides the reason of its failures. One shard.
class MessageInput {
 public:
  MessageInput(runtime::Shard& shard, Origin origin);

  /// The bytes of the next head once all of them have arrived; empty before: arm the stream and wait. The view is valid until
  /// `finish`. Fails beyond `max_bytes` (headers_too_large or target_too_long; upstream_invalid_response), after too many empty
  /// lines (bad_request), and when the peer ends (client_closed or upstream_reset).
  Result<std::string_view> head(tls::Stream& stream, std::size_t max_bytes);
  /// Whether the part of the head that has arrived begins with `start`. Until `finish`.
  bool head_begins_with(std::string_view start) const { return block_.view().starts_with(start); }
  /// Drops the head that was just read, that of an interim (1xx) response, so that `head` reads the next one.
  void skip_head();
  /// Whether any byte of the next message has arrived.
  bool begun() const { return !block_.empty() || !ahead_.empty(); }

  void begin_body(http::Framing framing);
  /// Call before the first read of the body: keeps what is read, up to kReplayBytes, so that `rewind` can restart the body.
  void keep_body() { keeps_ = true; }
  /// Restarts the body from its beginning. False if that is impossible: the body was not kept, or was too large.
  bool rewind();
  /// Moves the body bytes that have arrived into `sink`, with at most one read into the shard's scratch buffer. The caller must
  /// flush the sink before the shard does anything else.
  Result<stream::Progress> read_body(tls::Stream& stream, stream::BodySink& sink);
  bool body_ended() const { return decoder_.ended(); }
  std::uint64_t body_bytes() const { return body_bytes_; }
  const http::Framing& framing() const { return decoder_.framing(); }
  /// Whether bytes have arrived that were not read yet (of the body, in its framing, or after it).
  bool has_unread() const { return position_ < block_.size() || ahead_.size() > ahead_used_; }

  /// Before the first read of the body: the number of bytes of it that have arrived, in its framing; may include later bytes.
  std::size_t unread_bytes() const { return block_.size() - position_ + ahead_.size() - ahead_used_; }
  /// Before the first read of the body: whether all of it has arrived. Repeated calls check each byte once. Fails with
  /// bad_request if its framing is malformed.
  Result<bool> has_arrived();

  /// Reads bytes before they are needed and keeps up to kAheadBytes. Fails with client_closed or upstream_reset if the peer has
  /// ended.
  Result<void> read_ahead(tls::Stream& stream);
  /// Ends the message: bytes that arrived after it begin the next one. Frees the memory if there are none.
  void finish();

  bool ahead_is_full() const { return unread_bytes() >= kAheadBytes; }

  static constexpr std::size_t kAheadBytes = 64 * 1024;   // contract, section 5
  static constexpr std::size_t kReplayBytes = 64 * 1024;  // contract, section 6

 private:
  static constexpr int kReadsMax = 16;       // in one call; for remaining bytes an armed stream wakes at once
  static constexpr int kEmptyLinesMax = 16;  // without a limit a client could occupy the shard with empty lines
  Failure ended(const char* cause, int system_error = 0) const;
  /// Decodes `input` into `sink`; returns the number of bytes that were used.
  Result<std::size_t> decode(std::string_view input, stream::BodySink& sink);
  /// Returns `progress`, or kEnded if the body has ended, after telling the sink.
  stream::Progress end_of_read(stream::Progress progress, stream::BodySink& sink);
  void consume_ahead(std::size_t bytes);

  runtime::Shard& shard_;
  const Origin origin_;
  runtime::Buffer block_;  // the head, and the bytes that arrived with it
  runtime::Buffer ahead_;  // later bytes that are not needed yet, or are kept for `rewind`
  http::HeadScanner scanner_;
  http::BodyDecoder decoder_;
  http::BodyDecoder look_ahead_;  // `has_arrived` decodes a chunked body with it before the body is read
  std::size_t looked_ = 0;        // bytes of unread_bytes() that it has decoded
  int empty_lines_ = 0;           // dropped before this message
  std::size_t head_bytes_ = 0;    // bytes of the head in block_, once it is complete
  std::size_t ahead_used_ = 0;    // bytes of ahead_ that were read and are kept for `rewind`
  bool keeps_ = false;            // body bytes that are read are kept
  bool missed_ = false;           // body bytes were read and not kept
  std::size_t position_ = 0;      // index of the next unread byte in block_
  std::uint64_t body_bytes_ = 0;
};

}  // namespace router::http1
