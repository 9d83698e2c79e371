#include "router/listening/drain.h"

#include <gtest/gtest.h>

#include <chrono>

#include "tests/unit/listening/listening_world.h"

namespace router::listening {
namespace {

using namespace std::chrono_literals;

/// The drain of a process, with a delay of 2 s and a grace of 10 s.
class DrainOfAProcess : public ListeningWorld {
 protected:
  DrainOfAProcess() {
    settings.drain_delay = 2s;
    settings.drain_grace = 10s;
    ids(on({port}));
  }
  ~DrainOfAProcess() override { turn(); }  // waits for the rounds that are on their way
  std::size_t connections() {
    std::size_t count = 0;
    on_shard([&] { count = servers.front()->connections(); });
    return count;
  }
  void pass(Duration time) {
    const TimePoint until = control.now() + time;
    while (control.now() < until) {
      control.advance(std::min<Duration>(20ms, until - control.now()));
      turn();
    }
  }

  const std::uint16_t port = free_port();
  config::Process settings;
  int done = 0;
  bool may_end = true;
  Drain drain{control, shards, servers, [this] { return may_end; }, [this] { ++done; }};
};

TEST_F(DrainOfAProcess, AcceptsUntilItsDelayIsOverAndEndsWhenNobodyIsLeft) {
  drain.begin(settings);
  EXPECT_TRUE(drain.begun());
  pass(1900ms);
  EXPECT_TRUE(is_open(port));
  pass(200ms);
  EXPECT_FALSE(is_open(port));
  pass(1s);
  EXPECT_EQ(done, 1);
}

TEST_F(DrainOfAProcess, BeginsOnce) {
  drain.begin(settings);
  pass(1s);
  drain.begin(settings);  // the delay does not start again
  pass(1500ms);
  EXPECT_EQ(done, 1);
  pass(20s);
  EXPECT_EQ(done, 1);
}

TEST_F(DrainOfAProcess, ClosesIdleConnectionsWithTheListeners) {
  const Descriptor client = connect_to(address(port));
  client.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
  std::string answer;
  EXPECT_TRUE(test::turn_until(control, [&] { return (answer += client.received()).find("HTTP/1.1 200") != answer.npos; }));
  drain.begin(settings);
  pass(1s);
  EXPECT_FALSE(client.at_end());
  pass(2s);
  EXPECT_TRUE(test::turn_until(control, [&] { return client.at_end(); }));
  EXPECT_TRUE(test::turn_until(control, [&] { return (pass(20ms), done == 1); }));
}

TEST_F(DrainOfAProcess, CutsWhatIsLeftAfterTheGrace) {
  const Descriptor client = connect_to(address(port));
  client.send("POST /score HTTP/1.1\r\nHo");
  EXPECT_TRUE(test::turn_until(control, [this] { return connections() == 1; }));
  drain.begin(settings);
  pass(settings.drain_grace + Drain::kCut + 100ms);
  EXPECT_EQ(done, 1);
}

TEST_F(DrainOfAProcess, WaitsForTheFleetBeforeItEnds) {
  may_end = false;
  drain.begin(settings);
  pass(5s);
  EXPECT_EQ(done, 0);
  may_end = true;
  pass(100ms);
  EXPECT_EQ(done, 1);
}

TEST_F(DrainOfAProcess, WaitsForTheFleetNoLongerThanTheGrace) {
  may_end = false;
  drain.begin(settings);
  pass(settings.drain_grace - 100ms);
  EXPECT_EQ(done, 0);
  pass(200ms);
  EXPECT_EQ(done, 1);
}

}  // namespace
}  // namespace router::listening
