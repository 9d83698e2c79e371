#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>

#include "router/runtime/socket.h"
#include "tests/support/loopback.h"
#include "tests/support/test_shard.h"

namespace router::proxy {

/// The owner of a socket to a client. It counts how often it is woken.
class WokenSocket : public runtime::Waker {
 public:
  explicit WokenSocket(test::TestShard& shard) {
    std::array<int, 2> ends{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
    socket_ = runtime::Socket(shard, ends[0]);
    client_ = test::Descriptor(ends[1]);
    socket_.set_waker(this);
  }
  int woken() const { return woken_; }
  void client_sends() { EXPECT_EQ(::send(client_.get(), "x", 1, MSG_NOSIGNAL), 1); }

 protected:
  ~WokenSocket() = default;
  runtime::Socket socket_;

 private:
  void wake() override { ++woken_; }
  test::Descriptor client_;
  int woken_ = 0;
};

}  // namespace router::proxy
