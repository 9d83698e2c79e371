#include <gtest/gtest.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <memory>
#include <utility>
#include <vector>

#include "router/discovery/probe.h"
#include "router/dispatch/preemptible_slot.h"
#include "router/dispatch/request_queue.h"
#include "tests/unit/discovery/probe_world.h"
#include "tests/unit/dispatch/queue_world.h"

/// A probe takes a slot of its pod, as a request does, and gives it up when a request waits for it.
namespace router::discovery {
namespace {

/// A replica with limited slots, of which the test may take one.
class ProbeOfALimitedReplica : public Probe {
 protected:
  ProbeOfALimitedReplica() {
    queue->set_replicas({replica});
    target.settings.failure_threshold = 1;
    target.slot = [this](std::shared_ptr<dispatch::PreemptibleHolder> holder) {
      return ProbeSlotOffer{dispatch::PreemptibleSlot::take(replica->pod(), 0, std::move(holder)), resting};
    };
  }
  /// A request waits and gets the slot.
  bool is_served(dispatch::Visitor& request) {
    return turn_until(shard, [&] {
      if (!request.entry.held_slot) request.entry.held_slot = std::move(*request.look());
      return static_cast<bool>(request.entry.held_slot);
    });
  }
  const std::shared_ptr<dispatch::RequestQueue> queue =
      std::make_shared<dispatch::RequestQueue>(dispatch::QueueOptions{}, shard.clock());
  const std::shared_ptr<dispatch::Replica> replica = std::make_shared<dispatch::Replica>("pod:5001", 1);
  bool resting = false;
};

TEST_F(ProbeOfALimitedReplica, WasAskedBesideARequestThatHeldItsOnlySlot) {
  dispatch::PreemptibleSlot busy = dispatch::PreemptibleSlot::take(replica->pod(), 0);
  start();
  EXPECT_FALSE(asks_now());
  for (int second = 0; second < 5; ++second) {
    shard.advance(seconds(1));
    EXPECT_FALSE(asks_now());
  }
  EXPECT_TRUE(told.empty() && why.empty()) << "the probe neither failed nor succeeded";
  busy.give_back();
  shard.advance(seconds(1));
  answer(kOk);
  shard.poll();
  EXPECT_EQ(told, std::vector{true});
  EXPECT_EQ(replica->pod()->in_use(), 0u);
  busy = dispatch::PreemptibleSlot::take(replica->pod(), 0);
  shard.advance(seconds(10));
  EXPECT_FALSE(asks_now());
  busy.give_back();
  shard.advance(seconds(1));
  EXPECT_TRUE(asks_now()) << "the probe is repeated soon, not a period later";
}

TEST_F(ProbeOfALimitedReplica, KeepsItsSlotUntilThePodHasClosedToo) {
  start();
  Descriptor connection = next_question();
  EXPECT_FALSE(dispatch::PreemptibleSlot::take(replica->pod(), 0)) << "a request has to wait until the probe ends";
  connection.send(kOk);
  EXPECT_TRUE(turn_until(shard, [&] { return connection.at_end(); }));
  EXPECT_EQ(replica->pod()->in_use(), 1u);
  connection.close();
  EXPECT_TRUE(turn_until(shard, [&] { return replica->pod()->in_use() == 0; }));
  EXPECT_EQ(told, std::vector{true});
  shard.advance(seconds(10));
  connection = next_question();
  connection.send(kOk);
  EXPECT_TRUE(turn_until(shard, [&] { return connection.at_end(); }));
  shard.advance(target.close_wait);
  EXPECT_EQ(replica->pod()->in_use(), 0u) << "the slot is freed after `close_wait`";
}

TEST_F(ProbeOfALimitedReplica, KeptTheSlotThatARequestWaitedFor) {
  queue->set_ready(replica, true);
  start();
  const Descriptor hangs = next_question();
  dispatch::Visitor request(*queue, shard);
  ASSERT_TRUE(request.waits());
  EXPECT_TRUE(is_served(request)) << "the request does not wait for the probe's timeout";
  char byte = 0;
  EXPECT_EQ(::recv(hangs.get(), &byte, 1, MSG_DONTWAIT), -1);
  EXPECT_EQ(errno, ECONNRESET) << "the probe's connection is reset";
  request.entry.held_slot.give_back();
  EXPECT_TRUE(told.empty() && why.empty()) << "the probe neither failed nor succeeded";
  EXPECT_FALSE(asks_now());
  shard.advance(seconds(1));
  answer(kOk);
  shard.poll();
  EXPECT_EQ(told, std::vector{true});
}

TEST_F(ProbeOfALimitedReplica, KeptTheSlotThatARequestWaitedForAfterItsAnswer) {
  queue->set_ready(replica, true);
  start();
  const Descriptor stays = next_question();
  stays.send(kOk);
  EXPECT_TRUE(turn_until(shard, [&] { return stays.at_end(); }));
  dispatch::Visitor request(*queue, shard);
  ASSERT_TRUE(request.waits());
  EXPECT_TRUE(is_served(request));
  EXPECT_EQ(told, std::vector{true}) << "an answer that has arrived counts";
}

TEST_F(ProbeOfALimitedReplica, MayEndWhileItIsToldThatARequestWaits) {
  queue->set_ready(replica, true);
  start();
  const Descriptor hangs = next_question();
  dispatch::Visitor request(*queue, shard);
  ASSERT_TRUE(request.waits());
  prober.reset();
  EXPECT_TRUE(is_served(request));
  shard.poll();
  EXPECT_EQ(group.running(), 0u);
}

TEST_F(ProbeOfALimitedReplica, WaitsForARestingConnectionToBeClosed) {
  dispatch::PreemptibleSlot rests = dispatch::PreemptibleSlot::take(replica->pod(), 0);
  resting = true;
  start();
  shard.advance(std::chrono::milliseconds(10));
  EXPECT_FALSE(asks_now());
  rests.give_back();
  shard.advance(std::chrono::milliseconds(10));
  answer(kOk);
  shard.poll();
  EXPECT_EQ(told, std::vector{true});
}

TEST_F(ProbeOfALimitedReplica, EndsWhileItWaitsForASlotAndWhileItHoldsOne) {
  dispatch::PreemptibleSlot rests = dispatch::PreemptibleSlot::take(replica->pod(), 0);
  resting = true;
  start();
  prober.reset();
  shard.poll();
  EXPECT_EQ(group.running(), 0u);
  rests.give_back();
  start();
  const Descriptor connection = next_question();
  prober.reset();
  shard.poll();
  EXPECT_EQ(replica->pod()->in_use(), 0u);
}

}  // namespace
}  // namespace router::discovery
