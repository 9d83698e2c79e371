#include <gtest/gtest.h>

#include <memory>

#include "tests/unit/upstream/pod_world.h"

/// A slot owns at most one connection (contract, section 5). The tests show how long the router waits for a pod that is slow to
/// close, and what a slower pod sees.
namespace router::upstream {
namespace {

class OneConnectionTest : public ::testing::Test, protected PodWorld {
 protected:
  OneConnectionTest() {
    options.abort_wait = milliseconds(10'000);
    options.connect_timeout = milliseconds(10'000);
  }
  /// A request that takes the slot finds no connection in it.
  bool slot_is_empty() {
    runtime::Wakeup wakeup(here.shard());
    const Result<dispatch::RequestQueue::Entry> entry = queue->enter(wakeup);
    return entry->held_slot.entry()->connection == nullptr;
  }
};

TEST_F(OneConnectionTest, ARequestWaitsForAPodThatIsSlowToCloseAsLongAsTheDeploymentSays) {
  const test::Descriptor slow = first();
  here.advance(milliseconds(250));  // the connection has been idle for long enough, and the router ends it
  here.advance(milliseconds(249));
  auto request = send(here);
  here.advance(milliseconds(9'999));
  EXPECT_TRUE(slow.at_end());
  EXPECT_TRUE(nobody_connects()) << "the router opened a second connection to the pod";
  here.advance(milliseconds(1));
  const test::Descriptor second = accept(here);
  ASSERT_TRUE(second);
  answer(*request, second);
}

/// No exchange holds the slot meanwhile, so the wait ends after a quarter of a second, whatever `abort_wait_ms` is. A pod that
/// has not seen the end of the first connection then gets the next request over a second one.
TEST_F(OneConnectionTest, ButAConnectionThatNobodyWaitsForIsForgottenAfter250Milliseconds) {
  const test::Descriptor slow = first();
  here.advance(milliseconds(250));
  here.advance(milliseconds(250));
  auto request = send(here);
  const test::Descriptor second = accept(here);
  ASSERT_TRUE(second);
  answer(*request, second);
}

/// The same, when control takes the slot for a probe.
TEST_F(OneConnectionTest, SoIsOneThatAProbeEnds) {
  const test::Descriptor slow = first();
  {
    runtime::Wakeup wakeup(here.shard());
    const Result<dispatch::RequestQueue::Entry> entry = queue->enter(wakeup);
    static_cast<RestingConnection*>(entry->held_slot.entry()->connection.get())->close_soon();
  }
  here.advance(milliseconds(1));
  EXPECT_TRUE(test::turn_until(here, [&] { return slow.at_end(); }));
  here.advance(milliseconds(249));
  EXPECT_FALSE(slot_is_empty()) << "the slot is not empty before the pod has closed";
  here.advance(milliseconds(1));
  EXPECT_TRUE(slot_is_empty()) << "a quarter of a second later the slot is empty";
}

/// The same, when the request that waited for the pod's close is given up.
TEST_F(OneConnectionTest, SoIsOneThatARequestHasWaitedForAndGivenUp) {
  const test::Descriptor slow = first(500);
  auto request = send(here);
  request->leave();
  EXPECT_EQ(request->failure().reason, Reason::kClientClosed);
  request->held_slot.give_back();
  here.advance(milliseconds(249));
  EXPECT_TRUE(slow.at_end());
  EXPECT_FALSE(slot_is_empty()) << "the connection still closes in its slot";
  here.advance(milliseconds(1));
  auto next = send(here);
  const test::Descriptor second = accept(here);
  ASSERT_TRUE(second);
  answer(*next, second);
}

TEST_F(OneConnectionTest, ARequestThatComesWhileItIsEndedTakesTheWaitOver) {
  test::Descriptor slow = first();
  here.advance(milliseconds(250));
  here.advance(milliseconds(249));
  auto request = send(here);
  here.advance(milliseconds(1'000));
  EXPECT_TRUE(nobody_connects());
  slow.close();
  const test::Descriptor second = accept(here);
  ASSERT_TRUE(second);
  answer(*request, second);
}

}  // namespace
}  // namespace router::upstream
