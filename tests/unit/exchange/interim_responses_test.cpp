#include <gtest/gtest.h>

#include <chrono>

#include "tests/unit/exchange/exchange_world.h"

/// Interim (1xx) responses of a pod (docs/decisions/0040-interim-responses.md).
namespace router::test {
namespace {

class InterimResponses : public ExchangeTest {};

TEST_F(InterimResponses, EightArePassedOnAndTheOthersAreReadInTurns) {
  Asking& asking = world.ask();
  pod().unheard = true;
  for (int count = 0; count < 1000; ++count) pod().interim();
  pod().answer(200);
  for (int turns = 0; turns < 100 && !asking.over; ++turns) world.advance(1ms);
  ASSERT_TRUE(asking.over);
  EXPECT_EQ(asking.client.interims, 8);
  EXPECT_EQ(asking.client.status, 200);
  EXPECT_EQ(pod().heads_left(), 1u) << "the response's own";
}

TEST_F(InterimResponses, AreNotKeptForAClientThatTakesNothing) {
  Asking& asking = world.ask();
  asking.client.take_nothing();
  for (int count = 0; count < 3; ++count) pod().interim();
  world.advance(1s);
  EXPECT_EQ(asking.client.interims, 1) << "the client does not take it";
  EXPECT_EQ(pod().heads_left(), 2u);
  EXPECT_FALSE(pod().awaited()) << "it would be woken again and again by what is not read";
  asking.client.take_all();
  pod().answer(200);
  world.advance(1ms);
  EXPECT_TRUE(asking.over);
  EXPECT_EQ(asking.client.interims, 3);
  EXPECT_EQ(asking.client.status, 200);
}

TEST_F(InterimResponses, ThatAClientLetsWaitAreItsFaultAndNotThePods) {
  world.limits.min_send_rate = 0;
  world.limits.send_timeout = 60s;
  world.publish(2);
  Asking& asking = world.ask();
  asking.client.take_nothing();
  pod().interim();
  pod().interim();
  world.advance(world.blue.request_timeout);
  EXPECT_EQ(asking.client.status, 408);
  asking.client.take_all();
  EXPECT_TRUE(refused(asking, Reason::kClientTimeout, 408));
  EXPECT_EQ(pod().outcome, dispatch::ReplicaReport::Outcome::kNone);
}

}  // namespace
}  // namespace router::test
