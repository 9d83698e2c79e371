#pragma once

#include <cstdint>
#include <string_view>

#include "router/http/framing.h"
#include "router/http/head.h"
#include "router/http1/send_queue.h"
#include "router/runtime/buffer.h"
#include "router/stream/body.h"

namespace router::http1 {

/// The writing side of an HTTP/1.1 connection: head, body in its framing, trailers. Only gathers; `queue().flush` sends.
class MessageOutput final : public stream::BodySink {
 public:
  explicit MessageOutput(runtime::BufferPool& pool) : queue_(pool) {}

  void begin_request(std::string_view method, std::string_view path, std::string_view path_rest, std::string_view query);
  void begin_response(int status, std::string_view reason_phrase, int minor_version);
  /// Neither may contain a line break. The caller ensures that: values come from a checked head or from the router.
  void field(std::string_view name, std::string_view value);
  void end_head(const http::Framing& framing);
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
  http::Framing::Kind kind_ = http::Framing::Kind::kNone;
  bool ended_ = true;
};

}  // namespace router::http1
