#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "tests/unit/upstream/pod_world.h"

/// A replica without limit keeps its idle connections in a pool of each shard.
namespace router::upstream {
namespace {

using std::chrono::seconds;

class PoolTest : public ::testing::Test, protected PodWorld {
 protected:
  PoolTest() : PodWorld(0) {}

  struct Exchange {
    std::unique_ptr<Request> request;
    test::Descriptor pod_end;
  };
  Exchange begin() {
    Exchange made{send(here), accept(here)};
    exchange(*made.request, made.pod_end);
    return made;
  }
  /// Makes `count` connections idle, in this order.
  std::vector<test::Descriptor> rest(std::size_t count) {
    std::vector<Exchange> exchanges;
    for (std::size_t number = 0; number < count; ++number) exchanges.push_back(begin());
    std::vector<test::Descriptor> ends;
    for (Exchange& each : exchanges) {
      each.request->end(Leaving::kReusable);
      ends.push_back(std::move(each.pod_end));
    }
    return ends;
  }
  std::size_t resting() { return replica->pool(0).size(); }
  /// A request gets an idle connection.
  bool takes_one() {
    auto request = send(here);
    EXPECT_TRUE(request->open());
    const bool taken = request->exchange->reused();
    request->end(Leaving::kReset);
    return taken;
  }
};

TEST_F(PoolTest, GivesTheConnectionThatWasUsedLast) {
  const std::vector<test::Descriptor> ends = rest(2);
  here.advance(milliseconds(10));
  auto request = send(here);
  answer(*request, ends[1]);
  EXPECT_EQ(resting(), 2u);
}

TEST_F(PoolTest, KeepsAConnectionForAMinute) {
  const std::vector<test::Descriptor> ends = rest(1);
  here.advance(seconds(59));
  EXPECT_EQ(resting(), 1u);
  here.advance(seconds(1));
  EXPECT_EQ(resting(), 0u);
  EXPECT_TRUE(test::turn_until(here, [&] { return ends[0].at_end(); }));
  EXPECT_TRUE(replica->habits()->on(0).keeps()) << "it was alive after a minute";
}

TEST_F(PoolTest, CountsTheMinuteFromTheLastAnswerOn) {
  const std::vector<test::Descriptor> ends = rest(1);
  here.advance(seconds(59));
  auto request = send(here);
  answer(*request, ends[0]);
  here.advance(seconds(59));
  EXPECT_EQ(resting(), 1u);
  here.advance(seconds(1));
  EXPECT_EQ(resting(), 0u);
}

TEST_F(PoolTest, KeepsSixtyFourConnectionsAndNoMore) {
  const std::vector<test::Descriptor> ends = rest(replica->idle_max() + 1);
  EXPECT_EQ(resting(), replica->idle_max());
  EXPECT_TRUE(test::turn_until(here, [&] { return ends.back().at_end(); }));
  EXPECT_FALSE(ends.front().at_end());
}

TEST_F(PoolTest, LosesAConnectionThatThePodCloses) {
  std::vector<test::Descriptor> ends = rest(2);
  ends[0].close();
  EXPECT_TRUE(test::turn_until(here, [&] { return resting() == 1; }));
  here.advance(milliseconds(10));
  auto request = send(here);
  answer(*request, ends[1]);
}

TEST_F(PoolTest, LosesAConnectionThatSendsWhatNobodyAskedFor) {
  const std::vector<test::Descriptor> ends = rest(1);
  ends[0].send("HTTP/1.1 200 Forged\r\n\r\n");
  EXPECT_TRUE(test::turn_until(here, [&] { return resting() == 0; }));
  EXPECT_TRUE(test::turn_until(here, [&] { return ends[0].at_end(); }));
}

TEST_F(PoolTest, LeavesAConnectionAloneThatIsTooYoung) {
  const std::vector<test::Descriptor> ends = rest(1);
  auto request = send(here);
  const test::Descriptor second = accept(here);
  EXPECT_TRUE(test::turn_until(here, [&] { return request->open(); }));
  EXPECT_FALSE(request->exchange->reused()) << "a new connection serves the request";
  EXPECT_EQ(resting(), 1u);
  request->end(Leaving::kReset);
  here.advance(milliseconds(10));
  EXPECT_TRUE(takes_one());
}

TEST_F(PoolTest, KeepsNothingOnceItIsRetired) {
  Exchange running = begin();
  const std::vector<test::Descriptor> ends = rest(1);
  replica->retire_pool(0);
  EXPECT_EQ(resting(), 0u);
  EXPECT_TRUE(test::turn_until(here, [&] { return ends[0].at_end(); }));
  running.request->end(Leaving::kReusable);
  EXPECT_EQ(resting(), 0u);
  EXPECT_TRUE(test::turn_until(here, [&] { return running.pod_end.at_end(); }));
}

TEST_F(PoolTest, KeepsConnectionsAgainOnceItIsReopened) {
  replica->retire_pool(0);
  const std::vector<test::Descriptor> ended = rest(1);
  EXPECT_EQ(resting(), 0u);
  replica->reopen_pool(0);
  const std::vector<test::Descriptor> kept = rest(1);
  EXPECT_EQ(resting(), 1u);
}

TEST_F(PoolTest, IsOfOneShard) {
  const std::vector<test::Descriptor> ends = rest(1);
  here.advance(milliseconds(10));
  auto request = send(there);
  const test::Descriptor second = accept(there);
  answer(*request, second);
  EXPECT_EQ(replica->pool(1).size(), 1u);
  EXPECT_EQ(resting(), 1u);
}

TEST_F(PoolTest, EndsWithItsReplica) {
  const std::vector<test::Descriptor> ends = rest(2);
  queue->set_replicas({});
  replica.reset();
  EXPECT_TRUE(test::turn_until(here, [&] { return ends[0].at_end() && ends[1].at_end(); }));
}

}  // namespace
}  // namespace router::upstream
