#pragma once

#include <sys/socket.h>

#include <array>
#include <stdexcept>
#include <string>
#include <string_view>

#include "router/stream/body.h"
#include "tests/support/loopback.h"
#include "tls/stream.h"

namespace router::test {

/// A shard's stream, and its other end, `far`, which the test holds.
struct Wire {
  /// A socket pair, without a network.
  explicit Wire(runtime::Shard& shard) {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()) != 0)
      throw std::runtime_error("socketpair");
    far = Descriptor(ends[1]);
    stream = tls::Stream(runtime::Socket(shard, ends[0]));
  }
  /// A TCP connection, for tests in which the kernel counts bytes or distinguishes a reset from an end.
  Wire(runtime::Shard& shard, const LoopbackListener& listener) : far(connect_to(listener.address())) {
    Descriptor accepted;
    while (!(accepted = listener.accept())) {
    }
    stream = tls::Stream(runtime::Socket(shard, accepted.release()));
  }
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;

  Descriptor far;
  tls::Stream stream;
};

/// Collects a body as it arrives.
struct Collected final : stream::BodySink {
  void body_piece(std::string_view bytes) override { body.append(bytes); }
  void body_end(const http::Fields* fields) override {
    ended = true;
    if (fields != nullptr) trailers = fields->size();
  }
  std::string body;
  bool ended = false;
  std::size_t trailers = 0;
};

}  // namespace router::test
