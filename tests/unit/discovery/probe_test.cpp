#include "router/discovery/probe.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/failing_memory.h"
#include "tests/unit/discovery/probe_world.h"

/// When a prober asks, how many answers in a row make its verdict, and how it ends.
namespace router::discovery {
namespace {

TEST_F(Probe, AsksAtOnceForTheReadinessRoute) {
  start();
  answer(kOk);
  EXPECT_EQ(told, std::vector{true});
  EXPECT_TRUE(last_request.starts_with(
      "GET /ready?deep=1 HTTP/1.1\r\nHost: pod.example:" + std::to_string(pod.address().port()) + "\r\n"))
      << last_request;
  EXPECT_NE(last_request.find("\r\nConnection: close\r\n"), std::string::npos);
}

TEST_F(Probe, GivesUpAtItsTimeout) {
  start();
  const Descriptor connection = next_question();
  shard.advance(seconds(2));
  EXPECT_TRUE(connection.at_end());
}

TEST_F(Probe, AsksEverySecondUntilReadyThenEveryPeriod) {
  start();
  answer(kUnavailable);
  EXPECT_FALSE(asks_now());
  shard.advance(seconds(1));
  answer(kOk);
  EXPECT_EQ(told, std::vector{true});
  shard.advance(seconds(9));
  EXPECT_FALSE(asks_now());
  shard.advance(seconds(1));
  EXPECT_TRUE(asks_now());
}

TEST_F(Probe, NeedsAsManySuccessesInARowAsConfigured) {
  target.settings.success_threshold = 2;
  start();
  for (const char* each : {kOk, kUnavailable, kOk}) {
    answer(each);
    shard.advance(seconds(1));
  }
  EXPECT_TRUE(told.empty());
  answer(kOk);
  EXPECT_EQ(told, std::vector{true});
}

TEST_F(Probe, TellsNotReadyAfterAsManyFailuresInARowAsConfigured) {
  start();
  answer(kOk);
  for (const char* each : {kUnavailable, kUnavailable, kOk, kUnavailable, kUnavailable}) {
    shard.advance(seconds(10));
    answer(each);
  }
  EXPECT_EQ(told, std::vector{true});
  shard.advance(seconds(10));
  answer(kUnavailable);
  EXPECT_EQ(told, (std::vector{true, false}));
  shard.advance(seconds(1));
  answer(kOk);
  EXPECT_EQ(told, (std::vector{true, false, true}));
}

TEST_F(Probe, TellsAFirstVerdictOfNotReadyToo) {  // an earlier prober may have found it ready
  start();
  for (int i = 0; i < 5; ++i) {
    answer(kUnavailable);
    shard.advance(seconds(1));
  }
  EXPECT_EQ(told, std::vector{false});
}

TEST_F(Probe, DoesNotCountFailuresWithinTheInitialDelay) {
  target.settings.initial_delay = seconds(10);
  start();
  for (int second = 0; second < 10; ++second) {
    answer(kUnavailable);
    shard.advance(seconds(1));
  }
  EXPECT_TRUE(told.empty());
  for (int i = 0; i < 2; ++i) {
    answer(kUnavailable);
    shard.advance(seconds(1));
  }
  EXPECT_TRUE(told.empty());
  answer(kUnavailable);
  EXPECT_EQ(told, std::vector{false});
}

TEST_F(Probe, DoesNotBlameAReplicaThatWasBusyScoring) {
  std::uint64_t finished = 0;
  target.settings.failure_threshold = 1;
  target.exchanges_finished = [&finished] { return finished; };
  start();
  answer(kOk);
  shard.advance(seconds(10));
  Descriptor hanging = next_question();
  ++finished;
  shard.advance(seconds(2));
  EXPECT_EQ(told, std::vector{true});
  shard.advance(seconds(10));
  hanging = next_question();
  shard.advance(seconds(2));
  EXPECT_EQ(told, (std::vector{true, false})) << "no exchange finished meanwhile, so the replica was not busy";
}

TEST_F(Probe, BlamesABusyReplicaThatSaysItIsNotReady) {
  std::uint64_t finished = 0;
  target.settings.failure_threshold = 1;
  target.exchanges_finished = [&finished] { return ++finished; };
  start();
  answer(kUnavailable);
  EXPECT_EQ(told, std::vector{false});
}

TEST_F(Probe, EndsWithItsProberAndAsksNothingOfItsOwnerAfterThat) {
  bool gone = false;
  target.exchanges_finished = [&gone] {
    EXPECT_FALSE(gone);
    return std::uint64_t{0};
  };
  start();
  const Descriptor connection = next_question();
  prober.reset();
  gone = true;
  connection.send(kOk);
  shard.poll();
  EXPECT_TRUE(connection.at_end());
  EXPECT_TRUE(told.empty());
  EXPECT_EQ(group.running(), 0u);
}

TEST_F(Probe, EndsWithItsProberBetweenQuestionsAndBeforeTheFirst) {
  start();
  answer(kOk);
  prober.reset();
  shard.poll();
  EXPECT_EQ(group.running(), 0u);
  prober = std::make_unique<ReplicaProber>(shard, group, target, [](bool) { FAIL(); });
  prober.reset();
  EXPECT_FALSE(asks_now());
}

TEST_F(Probe, KeepsToTheLimitOfQuestionsAtOnce) {
  target.limit = std::make_shared<ProbeLimit>(2);
  std::vector<std::unique_ptr<ReplicaProber>> probers;
  for (int i = 0; i < 5; ++i)
    probers.push_back(std::make_unique<ReplicaProber>(shard, group, target, [this](bool ready) { told.push_back(ready); }));
  shard.poll();
  EXPECT_EQ(target.limit->running(), 2u);
  EXPECT_EQ(target.limit->waiting(), 3u);
  probers[2].reset();  // the one that would run next
  shard.poll();
  EXPECT_EQ(target.limit->waiting(), 2u);
  for (int i = 0; i < 4; ++i) {
    answer(kOk);
    EXPECT_LE(target.limit->running(), 2u);
  }
  EXPECT_EQ(told.size(), 4u);
  EXPECT_EQ(target.limit->running(), 0u);
  probers.clear();
}

TEST_F(Probe, PassesOnAPermitThatCameForOneWhoHasJustEnded) {
  target.limit = std::make_shared<ProbeLimit>(1);
  std::vector<std::unique_ptr<ReplicaProber>> probers;
  for (int i = 0; i < 3; ++i) probers.push_back(std::make_unique<ReplicaProber>(shard, group, target, [](bool) {}));
  shard.poll();
  probers[0].reset();
  probers[1].reset();
  shard.poll();
  Descriptor first = next_question();
  EXPECT_EQ(target.limit->running(), 1u);
  EXPECT_EQ(target.limit->waiting(), 0u);
  probers.clear();
  shard.poll();
  EXPECT_EQ(target.limit->running(), 0u);
}

TEST_F(Probe, BeginsAgainASecondLaterWhereItFoundNoMemory) {
  std::size_t served = 0;
  for (;; ++served) {
    prober = std::make_unique<ReplicaProber>(shard, group, target, [this](bool ready) { told.push_back(ready); });
    std::size_t failed = 0;
    {
      const test::FailingMemory failing(served, 1);
      shard.poll();
      failed = failing.failed();
    }
    if (failed == 0) break;
    while (pod.accept()) {
    }
    told.clear();
    shard.advance(seconds(1));
    answer(kOk);
    EXPECT_EQ(told, std::vector<bool>{true}) << served;
    prober.reset();
    shard.poll();
  }
  EXPECT_GE(served, 2u);
}

TEST_F(Probe, EndsWithoutMemory) {
  start();
  const Descriptor connection = next_question();
  const test::FailingMemory failing(0);
  prober.reset();
  shard.poll();
  EXPECT_EQ(group.running(), 0u);
}

TEST_F(Probe, GivesItsPermitToTheNextOneWithoutMemory) {
  target.limit = std::make_shared<ProbeLimit>(1);
  const ProbeLimit& limit = *target.limit;
  start();
  const Descriptor connection = next_question();
  auto second = std::make_unique<ReplicaProber>(shard, group, target, [](bool) {});
  shard.poll();
  ASSERT_EQ(limit.waiting(), 1u);
  {
    const test::FailingMemory failing(0, 1);  // the allocation for the second prober's request
    prober.reset();
    shard.poll();
  }
  EXPECT_EQ(limit.waiting(), 0u);
  while (pod.accept()) {
  }
  shard.advance(seconds(1));
  next_question();
  second.reset();
  shard.poll();
  EXPECT_EQ(limit.running(), 0u);
}

}  // namespace
}  // namespace router::discovery
