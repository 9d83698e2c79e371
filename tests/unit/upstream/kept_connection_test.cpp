#include <gtest/gtest.h>

#include <memory>
#include <new>

#include "router/upstream/handover.h"
#include "tests/support/failing_memory.h"
#include "tests/unit/upstream/pod_world.h"

namespace router::upstream {
namespace {

class KeptConnectionTest : public ::testing::Test, protected PodWorld {};

TEST_F(KeptConnectionTest, OfAReplicaThatIsTrustedServesAtOnce) {
  const test::Descriptor connection = first();
  earn_trust(connection);
  for (int times = 0; times < 3; ++times) {
    auto request = send(here);
    EXPECT_TRUE(request->open()) << "the request waits";
    EXPECT_FALSE(request->exchange->waited());
    answer(*request, connection);
  }
  EXPECT_TRUE(nobody_connects());
}

TEST_F(KeptConnectionTest, OfAReplicaThatIsNotKnownIsWatchedForTenMilliseconds) {
  const test::Descriptor connection = first();
  auto request = send(here);
  here.advance(milliseconds(9));
  EXPECT_FALSE(request->open());
  here.advance(milliseconds(1));
  EXPECT_TRUE(request->open());
  EXPECT_TRUE(request->exchange->reused());
  EXPECT_TRUE(request->exchange->waited()) << "the router waited for the pod, so the time is not the router's overhead";
  answer(*request, connection);
}

TEST_F(KeptConnectionTest, ThatThePodClosesWhileItIsWatchedIsReplaced) {
  test::Descriptor connection = first();
  auto request = send(here);
  here.advance(milliseconds(3));
  connection.close();
  const test::Descriptor second = accept(here);
  ASSERT_TRUE(test::turn_until(here, [&] { return request->open(); }));
  EXPECT_FALSE(request->exchange->reused());
  answer(*request, second);
}

TEST_F(KeptConnectionTest, OfAReplicaThatClosesSilentlyIsNeverUsed) {
  test::Descriptor connection = first();
  for (int times = 0; times < ClosingHabit::kEnds; ++times) {
    connection.close();
    here.poll();
    auto request = send(here);
    connection = accept(here);
    answer(*request, connection);
  }
  EXPECT_TRUE(replica->habits()->closes(here.now()));
  here.advance(milliseconds(50));
  auto request = send(here);
  EXPECT_TRUE(test::turn_until(here, [&] { return connection.at_end(); })) << "the router closes its side first";
  EXPECT_TRUE(nobody_connects()) << "the router opened a second connection to the pod";
  connection.close();
  const test::Descriptor next = accept(here);
  answer(*request, next);
  EXPECT_EQ(fresh(metrics::FreshReason::kClosesSilently), 1U);
}

TEST_F(KeptConnectionTest, IsReplacedRightAfterAnError) {
  test::Descriptor connection = first();
  earn_trust(connection);
  auto failing = send(here);
  answer(*failing, connection, 500);
  auto request = send(here);
  EXPECT_TRUE(test::turn_until(here, [&] { return connection.at_end(); }));
  EXPECT_TRUE(nobody_connects()) << "the router opened a connection before the pod had closed the earlier one";
  connection.close();
  const test::Descriptor second = accept(here);
  answer(*request, second);
  EXPECT_EQ(fresh(metrics::FreshReason::kAfterError), 1U);
  EXPECT_TRUE(replica->habits()->on(0).keeps()) << "one error does not make a habit";
}

TEST_F(KeptConnectionTest, ServesAgainTenMillisecondsAfterAnError) {
  const test::Descriptor connection = first();
  earn_trust(connection);
  auto failing = send(here);
  answer(*failing, connection, 503);
  here.advance(milliseconds(10));
  auto request = send(here);
  EXPECT_TRUE(request->open());
  EXPECT_TRUE(request->exchange->reused());
  request->end(Leaving::kReset);
}

TEST_F(KeptConnectionTest, IsWaitedForAsLongAsAnAbortMayTake) {
  const test::Descriptor deaf = first(500);
  auto request = send(here);
  here.advance(milliseconds(249));
  EXPECT_TRUE(nobody_connects());
  here.advance(milliseconds(1));
  const test::Descriptor second = accept(here);
  EXPECT_TRUE(second);
  answer(*request, second);
}

TEST_F(KeptConnectionTest, ThatIsBeingClosedGoesOnClosingWhenTheClientLeaves) {
  test::Descriptor deaf = first(500);
  auto request = send(here);
  request->leave();
  ASSERT_TRUE(request->opening->done());
  EXPECT_EQ(request->opening->get().error().reason, Reason::kClientClosed);
  request->held_slot.give_back();
  auto next = send(here);
  here.poll();
  EXPECT_TRUE(nobody_connects()) << "the router opened a second connection to the pod";
  deaf.close();
  const test::Descriptor second = accept(here);
  answer(*next, second);
}

TEST_F(KeptConnectionTest, ThatIsWatchedGoesBackWhenTheClientLeaves) {
  const test::Descriptor connection = first();
  auto request = send(here);
  request->leave();
  EXPECT_EQ(request->opening->get().error().reason, Reason::kClientClosed);
  request->held_slot.give_back();
  here.advance(milliseconds(10));
  auto next = send(here);
  answer(*next, connection);
  EXPECT_TRUE(nobody_connects());
}

TEST_F(KeptConnectionTest, ThatHasRestedLongEnoughIsEndedAndSeenToEnd) {
  test::Descriptor connection = first();
  here.advance(milliseconds(250));
  EXPECT_TRUE(test::turn_until(here, [&] { return connection.at_end(); }));
  auto request = send(here);
  here.poll();
  EXPECT_TRUE(nobody_connects()) << "the router opened a second connection to the pod";
  connection.close();
  const test::Descriptor second = accept(here);
  answer(*request, second);
  EXPECT_TRUE(replica->habits()->on(0).keeps()) << "it was alive after 250 ms";
}

TEST_F(KeptConnectionTest, WithBytesThatNobodyAskedForIsReplaced) {
  test::Descriptor connection = first();
  earn_trust(connection);
  connection.send("HTTP/1.1 200 Forged\r\n\r\n");
  ASSERT_TRUE(test::turn_until(here, [&] { return connection.at_end(); }));
  auto request = send(here);
  here.poll();
  EXPECT_FALSE(request->open());
  EXPECT_TRUE(nobody_connects()) << "the router opened a second connection to the pod";
  connection.close();
  const test::Descriptor second = accept(here);
  answer(*request, second);
}

TEST_F(KeptConnectionTest, MovesToTheShardThatNeedsIt) {
  const test::Descriptor connection = first();
  auto request = send(there);
  here.poll();
  there.poll();
  there.advance(milliseconds(10));
  answer(*request, connection);
  EXPECT_TRUE(nobody_connects());
}

TEST_F(KeptConnectionTest, IsReplacedAfterAnErrorOnAnotherShardToo) {
  test::Descriptor connection = first(500);
  auto request = send(there);
  here.poll();
  EXPECT_TRUE(test::turn_until(there, [&] { return connection.at_end(); }));
  EXPECT_TRUE(nobody_connects()) << "the router opened a second connection to the pod";
  connection.close();
  const test::Descriptor second = accept(there);
  answer(*request, second);
}

TEST_F(KeptConnectionTest, ThatAnotherShardDoesNotHandOverIsWaitedForAsLongAsForAConnection) {
  const test::Descriptor connection = first();
  auto request = send(there);
  there.advance(milliseconds(500));
  ASSERT_TRUE(request->opening->done());
  const Failure failure = request->opening->get().error();
  EXPECT_EQ(failure.reason, Reason::kUpstreamConnectFailed);
  EXPECT_EQ(failure.origin, Origin::kInternal) << "the replica is not to blame";
  request->held_slot.give_back();
  EXPECT_EQ(slots_in_use(), 1U) << "otherwise the slot would own two connections";
  here.poll();
  there.poll();
  EXPECT_EQ(slots_in_use(), 0U);
  auto next = send(there);
  there.advance(milliseconds(10));
  answer(*next, connection);
  EXPECT_TRUE(nobody_connects());
}

TEST_F(KeptConnectionTest, OfAnotherShardIsNotWaitedForWhenTheClientLeaves) {
  const test::Descriptor connection = first();
  auto request = send(there);
  request->leave();
  ASSERT_TRUE(request->opening->done());
  EXPECT_EQ(request->opening->get().error().reason, Reason::kClientClosed);
  request->held_slot.give_back();
  EXPECT_EQ(slots_in_use(), 1U);
  here.poll();
  there.poll();
  EXPECT_EQ(slots_in_use(), 0U);
}

TEST_F(KeptConnectionTest, ThatIsDroppedElsewhereEndsOnItsOwnShardWithoutAnyMemory) {
  const test::Descriptor connection = first();
  runtime::Wakeup wakeup(there.shard());
  Result<dispatch::RequestQueue::Entry> entry = queue->enter(wakeup);
  std::unique_ptr<dispatch::StockedConnection> resting = std::move(entry->held_slot.entry()->connection);
  {
    const test::FailingMemory none(0);
    resting.reset();
    EXPECT_EQ(none.failed(), 0U);
  }
  there.poll();
  EXPECT_FALSE(connection.at_end()) << "it belongs to the other shard";
  EXPECT_TRUE(test::turn_until(here, [&] { return connection.at_end(); }));
}

TEST(KeptConnection, ThatFindsNoMemoryToRestEndsAndLeavesTheSlotUsable) {
  for (std::size_t served = 0;; ++served) {
    PodWorld world;
    runtime::Wakeup wakeup(world.here.shard());
    Result<dispatch::RequestQueue::Entry> entry = world.queue->enter(wakeup);
    tls::Stream stream(runtime::Socket(world.here, test::connect_to(world.pod.address()).release()));
    auto connection = std::make_shared<Connection>(world.here, std::move(stream), world.replica->habits(), ConnectionPast());
    const std::weak_ptr<Connection> watched = connection;
    std::size_t failed = 0;
    {
      const test::FailingMemory one(served, 1);
      put_back(entry->held_slot, std::move(connection));
      failed = one.failed();
    }
    if (failed == 0) {
      EXPECT_NE(entry->held_slot.entry()->connection, nullptr);
      EXPECT_GT(served, 0U);
      return;
    }
    EXPECT_EQ(entry->held_slot.entry()->connection, nullptr);
    world.here.poll();
    EXPECT_TRUE(watched.expired()) << "the connection was not destroyed";
    entry->held_slot.give_back();
    EXPECT_EQ(world.slots_in_use(), 0U);
  }
}

#ifdef ROUTER_SANITIZED
constexpr bool kFramesAreAllocated = true;
#else
constexpr bool kFramesAreAllocated = false;  // base/frame_cache has kept some frames
#endif

/// The client leaves while a connection that is too young is watched.
TEST(KeptConnection, ThatFindsNoMemoryWhenTheClientLeavesMakesItNoFailureOfOurs) {
  for (std::size_t served = 0;; ++served) {
    PodWorld world;
    const test::Descriptor connection = world.first();
    auto request = world.send(world.here);
    ASSERT_FALSE(request->open());
    std::size_t failed = 0;
    {
      const test::FailingMemory one(served, 1);
      request->leave();
      failed = one.failed();
    }
    if (request->opening->done()) {
      EXPECT_EQ(request->opening->get().error().reason, Reason::kClientClosed) << served;
    } else {
      EXPECT_TRUE(kFramesAreAllocated) << served << ": only the allocation of a frame may end the task";
    }
    request->held_slot.give_back();
    EXPECT_EQ(world.slots_in_use(), 0U) << served;
    if (failed == 0) return;
    EXPECT_TRUE(connection.at_end()) << served;
  }
}

TEST(KeptConnection, ThatComesTooLateAndFindsNoMemoryLosesNoSlot) {
  for (std::size_t served = 0;; ++served) {
    PodWorld world;
    const test::Descriptor connection = world.first();
    auto request = world.send(world.there);
    request->leave();
    ASSERT_TRUE(request->opening->done());
    EXPECT_EQ(request->opening->get().error().reason, Reason::kClientClosed);
    request.reset();
    EXPECT_EQ(world.slots_in_use(), 1U);
    world.here.poll();
    std::size_t failed = 0;
    {
      const test::FailingMemory one(served, 1);
      world.there.poll();
      failed = one.failed();
    }
    EXPECT_EQ(world.slots_in_use(), 0U) << served;
    auto next = world.send(world.there);
    world.there.advance(milliseconds(10));
    const test::Descriptor fresh = failed > 0 ? world.accept(world.there) : test::Descriptor();
    PodWorld::answer(*next, failed > 0 ? fresh : connection);
    if (failed == 0) return;
  }
}

TEST(KeptConnection, ThatFindsNoMemoryOnItsWayToAnotherShardLosesNoSlot) {
  for (std::size_t served = 0;; ++served) {
    PodWorld world;
    const test::Descriptor connection = world.first();
    auto request = world.send(world.there);
    std::size_t failed = 0;
    for (test::TestShard* shard : {&world.here, &world.there}) {
      const test::FailingMemory one(served, 1);
      shard->poll();
      failed += one.failed();
    }
    world.there.advance(milliseconds(500));
    request->open();
    request.reset();
    EXPECT_EQ(world.slots_in_use(), 0U) << served;
    if (failed == 0) {
      EXPECT_GT(served, 0U);
      return;
    }
  }
}

}  // namespace
}  // namespace router::upstream
