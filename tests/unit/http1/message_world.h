#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "router/http1/message_input.h"
#include "tests/support/test_shard.h"
#include "tests/support/wire.h"

namespace router::http1 {

using test::Collected;
using Kind = http::Framing::Kind;

constexpr std::string_view kHead = "POST / HTTP/1.1\r\nHost: x\r\n\r\n";

/// The messages that a peer sends. The test holds the peer's end of the connection.
struct MessageWorld {
  explicit MessageWorld(Origin peer) : input(shard, peer) {}

  Result<std::string_view> head(std::size_t max_bytes = 65536) { return input.head(pair.stream, max_bytes); }
  /// Reads a head, and begins a body with this framing. `with`: the bytes that come with the head.
  void begin(http::Framing framing, std::string_view with = "") {
    pair.far.send(std::string(kHead) + std::string(with));
    ASSERT_EQ(*head(), kHead);
    input.begin_body(framing);
  }

  test::TestShard shard;
  test::Wire pair{shard};
  MessageInput input;
  Collected body;
};

}  // namespace router::http1
