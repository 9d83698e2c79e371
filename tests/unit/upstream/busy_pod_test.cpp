#include <gtest/gtest.h>

#include <memory>

#include "router/dispatch/membership.h"
#include "tests/unit/upstream/pod_world.h"

/// What a member of a fleet tells of a pod: also the connections that no exchange uses, until they are closed.
namespace router::upstream {
namespace {

using dispatch::PodSlots;
using dispatch::RequestQueue;

class BusyPodTest : public ::testing::Test, protected PodWorld {
 protected:
  /// The pod as a replica with this limit, in a fleet that has given all of it to this process; 0: no limit.
  void serve(std::size_t limit) {
    slots = std::make_shared<PodSlots>(2, PodSlots::Transport::kOneExchange, std::make_shared<dispatch::Membership>(2));
    RequestQueue::set_withheld(*slots, 0);
    replica = make_replica(pod.address(), nullptr, limit, slots);
    queue->set_replicas({replica});
    queue->set_ready(replica, true);
  }

  std::shared_ptr<PodSlots> slots;
};

TEST_F(BusyPodTest, HasARetiredConnectionUntilItsShardHasClosedIt) {
  serve(1);
  const test::Descriptor connection = first();
  EXPECT_EQ(slots->busy(), 1u);
  RequestQueue::set_withheld(*slots, PodSlots::kAll);
  EXPECT_EQ(slots->busy(), 1u) << "its shard does not know yet";
  EXPECT_FALSE(connection.at_end());
  here.poll();
  EXPECT_EQ(slots->busy(), 0u);
  EXPECT_TRUE(test::turn_until(here, [&] { return connection.at_end(); }));
}

TEST_F(BusyPodTest, HasAConnectionThatIsUsedAgainOnlyOnce) {
  serve(1);
  const test::Descriptor connection = first();
  here.advance(milliseconds(10));
  auto request = send(here);
  ASSERT_TRUE(request->open());
  EXPECT_TRUE(request->exchange->reused());
  EXPECT_EQ(slots->busy(), 1u);
  request->end(Leaving::kReset);
  EXPECT_EQ(slots->busy(), 0u);
}

TEST_F(BusyPodTest, HasTheIdleConnectionsOfATimeWithoutALimit) {
  serve(0);
  const test::Descriptor connection = first();
  EXPECT_EQ(slots->busy(), 1u) << "idle, in the pool";
  here.advance(milliseconds(10));
  auto request = send(here);
  ASSERT_TRUE(request->open());
  EXPECT_TRUE(request->exchange->reused());
  EXPECT_EQ(slots->busy(), 1u) << "in use, and no longer in the pool";
  exchange(*request, connection);
  request->end(Leaving::kReusable);
  queue->set_slots(replica, 1);
  EXPECT_EQ(slots->busy(), 1u) << "still open, although it is never used again";
  replica->retire_pool(0);
  EXPECT_EQ(slots->busy(), 0u);
}

}  // namespace
}  // namespace router::upstream
