#include <gtest/gtest.h>

#include <new>
#include <string>
#include <utility>
#include <vector>

#include "router/discovery/fleet_lease.h"
#include "tests/support/failing_memory.h"
#include "tests/unit/discovery/fleet_lease_world.h"

/// What becomes of the fleet's Lease when the API server refuses, does not answer, or memory is short.
namespace router::discovery {
namespace {

TEST_F(FleetLeaseTest, WhoseWriteGotNoAnswerIsUnknownAndReadAgain) {
  start_with_one();
  ASSERT_TRUE(lease->put("two", "101"));
  Asked asked = server.next();
  server.hides_events = true;
  server.write(*kubernetes::parse_object(asked.body));
  asked.cut();
  server.serve();
  EXPECT_EQ(owner.take(), Lines{"put: unknown"});
  EXPECT_FALSE(owner.last_written.error.empty());
  EXPECT_EQ(done(lease->get()), Lines{"found two 102"});
  ASSERT_TRUE(lease->put("three", "102"));
  asked = server.next();
  shard.advance(FleetLease::kCallMax);
  shard.poll();
  EXPECT_EQ(owner.take(), Lines{"put: unknown"}) << "the answer is late";
}

TEST_F(FleetLeaseTest, WhoseWriteAServerCouldNotEndIsUnknown) {
  start_with_one();
  for (const auto& [status, told] : std::vector<std::pair<int, std::string>>{
           {500, "unknown"}, {503, "unknown"}, {504, "unknown"}, {403, "failed"}, {422, "failed"}, {429, "failed"}}) {
    server.refuses = status;
    EXPECT_EQ(done(lease->put("two", "101")), Lines{"put: " + told}) << status;
    EXPECT_NE(owner.last_written.error.find(std::to_string(status)), std::string::npos) << owner.last_written.error;
  }
  EXPECT_NE(owner.last_written.error.find("the Lease system/inference-router-fleet"), std::string::npos);
}

TEST_F(FleetLeaseTest, WhoseAnswerIsNotReadableIsUnknown) {
  start_with_one();
  for (const char* garbage : {"", "[]", "{", R"({"metadata":{}})"}) {
    ASSERT_TRUE(lease->put("two", "101"));
    server.next().answer(200, garbage);
    server.serve();
    EXPECT_EQ(owner.take(), Lines{"put: unknown"});
    ASSERT_TRUE(lease->get());
    server.next().answer(200, garbage);
    server.serve();
    EXPECT_EQ(owner.take(), Lines{"failed"});
  }
}

TEST_F(FleetLeaseTest, SaysWhyItCannotBeRead) {
  start_with_one();
  server.refuses = 403;
  EXPECT_EQ(done(lease->get()), Lines{"failed"});
  EXPECT_NE(owner.last_read.error.find("get, update, list and watch"), std::string::npos) << owner.last_read.error;
  ASSERT_TRUE(lease->get());
  server.next();
  shard.advance(FleetLease::kCallMax);
  shard.poll();
  EXPECT_EQ(owner.take(), Lines{"failed"}) << "no answer in time";
  EXPECT_FALSE(lease->busy());
}

TEST_F(FleetLeaseTest, RefusesARosterThatIsTooLarge) {
  start_with_one();
  EXPECT_EQ(done(lease->put(std::string(FleetLease::kRosterMax + 1, 'x'), "101")), Lines{"put: failed"});
  EXPECT_EQ(server.writes(), 0u);
  server.hides_events = true;
  server.write(with_roster(std::string(FleetLease::kRosterMax + 1, 'x')));
  EXPECT_EQ(done(lease->get()), Lines{"failed"});
  server.show_events();
  server.serve();
  EXPECT_EQ(owner.take(), Lines{});
  const std::string most(FleetLease::kRosterMax, 'x');
  EXPECT_EQ(done(lease->put(most, "102")), (Lines{"changed " + most + " 103", "put: 103"}));
}

TEST_F(FleetLeaseTest, TellsAChangeAgainThatTheOwnerHadNoMemoryFor) {
  start_with_one();
  owner.short_of_memory = 1;
  server.write(with_roster("two"));
  server.serve();
  EXPECT_EQ(owner.take(), Lines{});
  pass(kubernetes::Reflector::kInterruptedPause);
  EXPECT_EQ(owner.take(), Lines{"changed two 102"});
}

TEST_F(FleetLeaseTest, FailsWhenTheGroupIsFull) {
  start_with_one();
  runtime::TaskGroup full{shard, 0};
  Owner other;
  FleetLeaseOptions options;
  options.namespace_name = "system";
  FleetLease unlucky(*client, full, options, other);
  ASSERT_TRUE(unlucky.get());
  server.serve();
  EXPECT_EQ(other.take(), Lines{"failed"});
  ASSERT_TRUE(unlucky.stamp());
  server.serve();
  EXPECT_EQ(other.take(), Lines{"stamp: failed"});
}

TEST_F(FleetLeaseTest, GivesOneResultWhicheverAllocationFailsBeforeTheRequestIsSent) {
  start_with_one();
  for (const bool stamps : {false, true}) {
    std::size_t failed = 1;
    std::size_t served = 0;
    for (; failed > 0; ++served) {
      bool began = false;
      owner.results = 0;
      {
        const router::test::FailingMemory memory(served, 1);
        try {
          began = stamps ? lease->stamp() : lease->get();
          for (int i = 0; i < 20; ++i) shard.poll();
        } catch (const std::bad_alloc&) {
        }
        failed = memory.failed();
      }
      pass(FleetLease::kCallMax + seconds(1));
      EXPECT_FALSE(lease->busy()) << served;
      EXPECT_EQ(owner.results, began ? 1u : 0u) << served;
    }
    EXPECT_GT(served, 10u);
  }
  EXPECT_EQ(annotation(FleetLease::kRosterKey), "one");
}

TEST_F(FleetLeaseTest, GivesOneResultWhicheverAllocationFailsWhenTheAnswerArrives) {
  start_with_one();
  for (const bool stamps : {false, true}) {
    std::size_t failed = 1;
    std::size_t served = 0;
    for (; failed > 0; ++served) {
      owner.results = 0;
      ASSERT_TRUE(stamps ? lease->stamp() : lease->get());
      server.answer(server.next());
      {
        const router::test::FailingMemory memory(served, 1);
        for (int i = 0; i < 20; ++i) shard.poll();
        failed = memory.failed();
      }
      pass(FleetLease::kCallMax + seconds(1));
      EXPECT_FALSE(lease->busy()) << served;
      EXPECT_EQ(owner.results, 1u) << served;
      if (stamps) done(lease->get());  // what was written is unknown, and the watch may have been interrupted, too
    }
    EXPECT_GT(served, 10u);
  }
}

TEST_F(FleetLeaseTest, SaysNothingAfterItsEnd) {
  start_with_one();
  ASSERT_TRUE(lease->put("two", "101"));
  const Asked asked = server.next();
  lease.reset();
  server.answer(asked);
  server.serve();
  EXPECT_EQ(owner.take(), Lines{});
  EXPECT_EQ(group.running(), 0u);
}

}  // namespace
}  // namespace router::discovery
