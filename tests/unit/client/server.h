#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "router/client/client.h"
#include "tests/support/loopback.h"
#include "tests/support/test_shard.h"

namespace router::client::test {

using router::test::Descriptor;
using router::test::LoopbackListener;
using router::test::TestShard;
using router::test::turn_until;
using std::chrono::milliseconds;
using std::chrono::seconds;

/// A server on the loopback for a client whose clock stands still. The test sends each byte.
class ServerTest : public ::testing::Test {
 protected:
  ~ServerTest() override {
    cancellation->cancel();
    shard.poll();  // exchanges end before their client is destroyed
  }

  template <class T>
  void end(const TestShard::Started<T>& started) {
    ASSERT_TRUE(turn_until(shard, [&] { return started.done(); }));
  }
  template <class T>
  ErrorKind error_kind(const TestShard::Started<Outcome<T>>& started) {
    end(started);
    EXPECT_TRUE(started.peek().has_error());
    return started.peek().has_error() ? started.peek().error().kind : ErrorKind::kFailed;
  }
  /// Accepts the next connection.
  Descriptor accept() {
    Descriptor accepted;
    EXPECT_TRUE(turn_until(shard, [&] { return static_cast<bool>(accepted = listener.accept()); })) << "no connection came";
    return accepted;
  }
  bool is_asked_for_a_connection() {
    for (int turns = 0; turns < 20; ++turns) shard.poll();
    return static_cast<bool>(listener.accept());
  }
  /// Reads the next request without a body.
  std::string request_at(const Descriptor& connection) {
    std::string bytes;
    EXPECT_TRUE(turn_until(shard, [&] { return (bytes += connection.received()).ends_with("\r\n\r\n"); })) << bytes;
    return bytes;
  }

  TestShard shard;
  LoopbackListener listener;
  std::shared_ptr<runtime::CancelSource> cancellation = runtime::CancelSource::make(shard);
};

}  // namespace router::client::test
