#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "router/base/result.h"
#include "router/http/framing.h"
#include "router/http/head.h"
#include "router/runtime/buffer.h"
#include "router/runtime/shard.h"
#include "router/wire/body_sink.h"
#include "tls/stream.h"

namespace router::wire {

/// One direction of an HTTP/1.1 connection, as it is read: head, body, and what arrives too early. Holds memory only while a
/// message is under way. Requests and responses alike; `origin` decides the reason of its failures. One shard.
class MessageInput {
 public:
  MessageInput(runtime::Shard& shard, Origin origin);

  /// The bytes of the next head, once all of them have arrived; empty: not yet, arm the stream and wait. The view
  /// stays valid until `finish`. Fails with headers_too_large beyond `max_bytes`, and with client_closed or upstream_reset when
  /// the peer ends.
  Result<std::string_view> head(tls::Stream& stream, std::size_t max_bytes);
  /// Whether the head, as far as it has come, begins with `start`; until `finish`.
  bool head_begins_with(std::string_view start) const { return block_.view().starts_with(start); }
  /// Forgets the head that was just read and looks for the next one: an interim (1xx) response.
  void skip_head();
  /// Whether any byte of the next message has arrived.
  bool begun() const { return !block_.empty() || !ahead_.empty(); }

  void begin_body(http::Framing framing);
  /// Before the first read of the body: what is read is kept, up to kReplayBytes, so that `rewind` can begin the body again.
  void keep_body() { keeps_ = true; }
  /// Nothing of the body counts as read any more. False if it cannot be had again: it was not kept, or was too much.
  bool rewind();
  /// Moves the body bytes that are at hand into `sink`: at most one read, at most a shard's scratch. The sink must be flushed
  /// before the shard does anything else.
  Result<Progress> read_body(tls::Stream& stream, BodySink& sink);
  bool body_ended() const { return decoder_.ended(); }
  std::uint64_t body_bytes() const { return body_bytes_; }
  const http::Framing& framing() const { return decoder_.framing(); }
  /// Body bytes that have arrived but were not read yet (still in their framing).
  bool has_unread() const { return position_ < block_.size() || ahead_.size() > ahead_used_; }

  /// Before the first read of the body: how many bytes of it have arrived, in its framing, and maybe of what follows it.
  std::size_t unread_bytes() const { return block_.size() - position_ + ahead_.size() - ahead_used_; }
  /// Before the first read of the body: whether all of it has arrived. Looks at each byte once. Fails with bad_request if its
  /// framing is malformed.
  Result<bool> has_arrived();

  /// Keeps what arrives before it is asked for, up to kAheadBytes; tells that the peer has ended (client_closed,
  /// upstream_reset).
  Result<void> read_ahead(tls::Stream& stream);
  /// The message is over: what arrived behind it begins the next one. Frees memory if nothing did.
  void finish();

  bool ahead_is_full() const { return unread_bytes() >= kAheadBytes; }

  static constexpr std::size_t kAheadBytes = 64 * 1024;   // contract, section 5
  static constexpr std::size_t kReplayBytes = 64 * 1024;  // contract, section 6

 private:
  static constexpr int kReadsMax = 16;       // in one call; what is left wakes at once
  static constexpr int kEmptyLinesMax = 16;  // more of them could hold the shard for as long as they come
  Failure ended(const char* cause, int system_error = 0) const;
  /// Decodes `input` into `sink`; how many bytes were used.
  Result<std::size_t> decode(std::string_view input, BodySink& sink);
  /// `progress`, unless the body has ended by now.
  Progress end_of_read(Progress progress, BodySink& sink);
  void consume_ahead(std::size_t bytes);

  runtime::Shard& shard_;
  const Origin origin_;
  runtime::Buffer block_;  // the head, and what came with it
  runtime::Buffer ahead_;  // what came later, before it was asked for, or is kept
  http::HeadScanner scanner_;
  http::BodyDecoder decoder_;
  http::BodyDecoder look_ahead_;  // of a chunked body, before it is read
  std::size_t looked_ = 0;        // how far that has come, of unread_bytes()
  int empty_lines_ = 0;           // dropped in front of this message
  std::size_t head_bytes_ = 0;    // of block_, once the head is complete
  std::size_t ahead_used_ = 0;    // of ahead_: read, and kept for a rewind
  bool keeps_ = false;            // what is read of the body can be read again
  bool missed_ = false;           // something was read that was not kept
  std::size_t position_ = 0;      // of the next unread byte in block_
  std::uint64_t body_bytes_ = 0;
};

}  // namespace router::wire
