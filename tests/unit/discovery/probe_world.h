#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "router/discovery/probe.h"
#include "tests/support/loopback.h"
#include "tests/support/test_shard.h"

namespace router::discovery {

using std::chrono::seconds;
using test::Descriptor;
using test::TestShard;
using test::turn_until;

constexpr const char* kOk = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
constexpr const char* kUnavailable = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";

/// A prober, and the pod that it asks. The test sends the pod's answers.
class Probe : public ::testing::Test {
 protected:
  Probe() {
    target.host = "pod.example";
    target.address = pod.address();
    target.route.path = "/ready?deep=1";
    target.settings.initial_delay = seconds(0);
    target.settings.failure_threshold = 3;
  }
  ~Probe() override {
    prober.reset();
    shard.poll();
    EXPECT_EQ(group.running(), 0u) << "a probe outlives its prober";
  }
  void start() {
    prober = std::make_unique<ReplicaProber>(
        shard, group, target, [this](bool ready) { told.push_back(ready); },
        [this](const ProbeAnswer& answer) { why.push_back(answer.why); });
    shard.poll();
  }
  Descriptor next_question() {
    Descriptor connection;
    EXPECT_TRUE(turn_until(shard, [&] { return static_cast<bool>(connection = pod.accept()); }));
    std::string asked;
    EXPECT_TRUE(turn_until(shard, [&] { return (asked += connection.received()).ends_with("\r\n\r\n"); }));
    last_request = asked;
    return connection;
  }
  void answer(const std::string& text) {
    const Descriptor connection = next_question();
    connection.send(text);
    EXPECT_TRUE(turn_until(shard, [&] { return connection.at_end(); })) << "the prober closes its connection";
  }
  bool asks_now() {
    shard.poll();
    return static_cast<bool>(pod.accept());
  }

  TestShard shard;
  test::LoopbackListener pod;
  runtime::TaskGroup group{shard, 100};
  ProbeTarget target;
  std::vector<bool> told;
  std::vector<std::string> why;
  std::string last_request;
  std::unique_ptr<ReplicaProber> prober;
};

}  // namespace router::discovery
