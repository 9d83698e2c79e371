#pragma once

#include "router/proxy/downstream.h"

namespace router::test {

/// A client that has sent its request, has no body, and takes and drops all bytes that it is given. A test overrides the parts
/// that it examines.
class QuietDownstream : public proxy::Downstream {
 public:
  QuietDownstream() = default;
  explicit QuietDownstream(const http::RequestHead& head) : head_(&head) {}

  http::RequestHead& asked() { return request_; }
  proxy::Peer& asks() { return peer_; }

  const http::RequestHead& head() const override { return *head_; }
  const proxy::Peer& peer() const override { return peer_; }
  stream::BodySize request_size() const override { return {}; }
  Result<stream::Progress> read_body(stream::BodySink&) override { return stream::Progress::kEnded; }
  bool request_received() const override { return true; }
  std::uint64_t request_bytes() const override { return 0; }
  Result<Arrived> body_arrived() override { return Arrived{0, true}; }
  void keep_request() override {}
  bool rewind_request() override { return false; }
  stream::Progress drop_request() override { return stream::Progress::kEnded; }
  void begin_head(int, std::string_view) override {}
  void field(std::string_view, std::string_view) override {}
  void end_head(stream::BodySize) override {}
  bool interim(const http::ResponseHead&) override { return true; }
  void body_piece(std::string_view) override {}
  void body_end(const http::Fields*) override {}
  Result<void> flush() override { return {}; }
  bool blocked() const override { return false; }
  bool responded() const override { return true; }
  std::string_view date() override { return "Sun, 06 Nov 1994 08:49:37 GMT"; }
  std::uint64_t response_bytes() const override { return 0; }
  std::uint64_t bytes_taken() const override { return 0; }
  void leave(stream::Leaving) override {}
  void arm_read() override {}
  void arm_write() override {}
  Result<void> still_wanted() override { return {}; }
  Result<void> may_take_slot() const override { return {}; }
  Result<void> within_grace() const override { return {}; }
  Deadline ask_again(TimePoint) const override { return kNever; }

 protected:
  ~QuietDownstream() = default;

 private:
  http::RequestHead request_;
  const http::RequestHead* head_ = &request_;
  proxy::Peer peer_;
};

}  // namespace router::test
