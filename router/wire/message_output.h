#pragma once

#include <cstdint>
#include <string_view>

#include "router/http/head.h"
#include "router/runtime/buffer.h"
#include "router/wire/body_sink.h"
#include "router/wire/send_queue.h"

namespace router::wire {

/// How a message indicates the end of its body.
struct BodySize {
  enum class Kind : std::uint8_t {
    kNone,        // no body, and no field for one (GET, 204, …)
    kLength,      // Content-Length
    kChunked,     // HTTP/1.1 of unknown length
    kUntilClose,  // HTTP/1.0 of unknown length
  };
  Kind kind = Kind::kNone;
  std::uint64_t length = 0;
};

/// The writing side of an HTTP/1.1 connection: head, body in its framing, trailers. Only gathers; `queue().flush` sends.
class MessageOutput final : public BodySink {
 public:
  explicit MessageOutput(runtime::BufferPool& pool) : queue_(pool) {}

  void begin_request(std::string_view method, std::string_view path, std::string_view path_rest, std::string_view query);
  void begin_response(int status, std::string_view reason_phrase, int minor_version);
  /// Neither may contain a line break. The caller ensures that: values come from a checked head or from the router.
  void field(std::string_view name, std::string_view value);
  void end_head(BodySize size);
  void interim(int status, std::string_view reason_phrase);  // the start line of a 1xx; fields follow, then `end_interim`
  void end_interim();

  void body_piece(std::string_view bytes) override;
  void body_end(const http::Fields* trailers) override;
  bool body_ended() const { return ended_; }
  std::uint64_t body_bytes() const { return body_bytes_; }

  SendQueue& queue() { return queue_; }
  const SendQueue& queue() const { return queue_; }

 private:
  SendQueue queue_;
  std::uint64_t body_bytes_ = 0;
  BodySize::Kind kind_ = BodySize::Kind::kNone;
  bool ended_ = true;
};

}  // namespace router::wire
