#include "router/discovery/fleet_lease.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/unit/discovery/fleet_lease_world.h"

namespace router::discovery {
namespace {

TEST_F(FleetLeaseTest, IsCreatedWithTheRoster) {
  start();
  EXPECT_EQ(owner.take(), Lines{"deleted"});
  EXPECT_EQ(done(lease->get()), Lines{"absent"});
  EXPECT_EQ(done(lease->put("one", "")), (Lines{"changed one 101", "put: 101"}));
  const Asked& post = server.log.back();
  EXPECT_EQ(post.method, "POST");
  EXPECT_TRUE(post.target.starts_with("/apis/coordination.k8s.io/v1/namespaces/system/leases?")) << post.target;
  EXPECT_EQ(metadata_text(*server.object, "namespace"), "system");
  EXPECT_EQ(annotation("inference-router.dev/roster"), "one");
  EXPECT_EQ(server.object->at("spec").at("holderIdentity"), "router-1");
}

TEST_F(FleetLeaseTest, IsReadWithTheTimeAtWhichTheRequestWasSent) {
  start_with_one();
  shard.advance(seconds(7));
  const BootTime sent = boot();
  ASSERT_TRUE(lease->get());
  const Asked asked = server.next();
  EXPECT_EQ(asked.target, "/apis/coordination.k8s.io/v1/namespaces/system/leases/inference-router-fleet")
      << "without a resourceVersion the answer is not older than the request";
  shard.advance(milliseconds(900));
  server.answer(asked);
  server.serve();
  EXPECT_EQ(owner.take(), Lines{"found one 101"});
  EXPECT_EQ(owner.last_read.sent_at, sent);
}

TEST_F(FleetLeaseTest, IsReplacedOverTheVersionThatTheWriterNames) {
  start_with_one();
  EXPECT_EQ(done(lease->put("two", "101")), (Lines{"changed two 102", "put: 102"}));
  EXPECT_EQ(server.log.back().method, "PUT");
  EXPECT_EQ(annotation(FleetLease::kRosterKey), "two");
  EXPECT_EQ(annotation("other"), "kept");
  EXPECT_EQ(done(lease->put("three", "102")), (Lines{"changed three 103", "put: 103"}));
}

TEST_F(FleetLeaseTest, IsNeverOverwrittenBlindly) {
  start_with_one();
  server.hides_events = true;
  server.write(with_roster("of another"));
  EXPECT_EQ(done(lease->put("two", "101")), Lines{"put: conflict"});
  EXPECT_EQ(annotation(FleetLease::kRosterKey), "of another");
  EXPECT_EQ(done(lease->put("two", "")), Lines{"put: conflict"}) << "it exists";
  server.show_events();
  server.serve();
  EXPECT_EQ(owner.take(), Lines{"changed of another 102"});
  const std::size_t asked = server.log.size();
  EXPECT_EQ(done(lease->put("two", "101")), Lines{"put: conflict"});
  EXPECT_EQ(server.log.size(), asked) << "it is known to fail";
  EXPECT_EQ(done(lease->put("two", "102")), (Lines{"changed two 103", "put: 103"}));
}

TEST_F(FleetLeaseTest, IsStampedWithoutAChangeOfTheRoster) {
  start_with_one();
  EXPECT_EQ(done(lease->stamp()), (Lines{"changed one 102", "stamp: 102"}));
  EXPECT_EQ(annotation(FleetLease::kRosterKey), "one");
  EXPECT_EQ(annotation("other"), "kept");
  const std::string first = renewed();
  EXPECT_EQ(first.size(), std::string("2026-01-01T00:00:00.000000Z").size());
  shard.advance(seconds(10));
  EXPECT_EQ(done(lease->stamp()), (Lines{"changed one 103", "stamp: 103"}));
  EXPECT_LT(first, renewed());
  server.hides_events = true;
  server.write(with_roster("two"));
  EXPECT_EQ(done(lease->stamp()), Lines{"stamp: conflict"});
  EXPECT_EQ(annotation(FleetLease::kRosterKey), "two");
  server.show_events();
  server.serve();
  EXPECT_EQ(owner.take(), Lines{"changed two 104"});
  EXPECT_EQ(done(lease->stamp()), (Lines{"changed two 105", "stamp: 105"}));
}

TEST_F(FleetLeaseTest, IsNotStampedBeforeItIsKnown) {
  start();
  owner.take();
  EXPECT_EQ(done(lease->stamp()), Lines{"stamp: conflict"});
  EXPECT_TRUE(server.log.empty());
}

TEST_F(FleetLeaseTest, ThatWasDeletedIsCreatedAgainByOneWriter) {
  start_with_one();
  server.hides_events = true;
  server.remove();
  EXPECT_EQ(done(lease->put("two", "101")), Lines{"put: absent"});
  server.show_events();
  server.serve();
  EXPECT_EQ(owner.take(), Lines{"deleted"});
  EXPECT_EQ(done(lease->put("two", "101")), Lines{"put: conflict"});
  server.write(with_roster("of another"));
  EXPECT_EQ(done(lease->put("two", "")), (Lines{"changed of another 103", "put: conflict"}));
  EXPECT_EQ(annotation(FleetLease::kRosterKey), "of another");
}

TEST_F(FleetLeaseTest, IsReadAgainWhenAChangeOvertakesTheAnswer) {
  start_with_one();
  ASSERT_TRUE(lease->get());
  const Asked asked = server.next();
  const std::string old = json::serialize(*server.object);
  server.write(with_roster("two"));
  server.serve();
  EXPECT_EQ(owner.take(), Lines{"changed two 102"});
  shard.advance(milliseconds(300));
  const BootTime second = boot();
  asked.answer(200, old);
  server.serve();
  EXPECT_EQ(owner.take(), Lines{"found two 102"}) << "the owner never sees an older roster after a newer one";
  EXPECT_EQ(owner.last_read.sent_at, second);
  EXPECT_EQ(done(lease->put("three", "102")), (Lines{"changed three 103", "put: 103"}));
}

TEST_F(FleetLeaseTest, IsReadAgainWhenItWasCreatedMeanwhile) {
  start();
  owner.take();
  ASSERT_TRUE(lease->get());
  const Asked asked = server.next();
  server.write(with_roster("one"));
  server.serve();
  asked.answer(404, kubernetes::test::status(404, "not found"));
  server.serve();
  EXPECT_EQ(owner.take(), (Lines{"changed one 101", "found one 101"}));
}

TEST_F(FleetLeaseTest, ThatWasRestoredOldIsShownByAGet) {
  server.version = 500;
  server.write(with_roster("new"));
  start();
  EXPECT_EQ(owner.take(), Lines{"changed new 501"});
  server.object.reset();
  server.version = 200;
  server.hides_events = true;
  server.write(with_roster("old"));
  EXPECT_EQ(done(lease->stamp()), Lines{"stamp: conflict"}) << "nothing is written over what nobody has seen";
  EXPECT_EQ(done(lease->get()), Lines{"found old 201"});
  EXPECT_EQ(done(lease->put("mended", "201")), Lines{"put: 202"});
}

TEST_F(FleetLeaseTest, WatchIgnoresWhatIsOlderThanAnAnswer) {
  start_with_one();
  server.hides_events = true;
  server.write(with_roster("two"));
  server.write(with_roster("three"));
  EXPECT_EQ(done(lease->get()), Lines{"found three 103"});
  server.show_events();
  server.serve();
  EXPECT_EQ(owner.take(), Lines{});
}

TEST_F(FleetLeaseTest, WriteThatOthersHaveChangedSinceIsUnknown) {
  start_with_one();
  ASSERT_TRUE(lease->put("two", "101"));
  const Asked asked = server.next();
  server.write(*kubernetes::parse_object(asked.body));
  const std::string answer = json::serialize(*server.object);
  server.write(with_roster("three"));
  server.serve();
  asked.answer(200, answer);
  server.serve();
  EXPECT_EQ(owner.take(), (Lines{"changed two 102", "changed three 103", "put: unknown"}));
}

TEST_F(FleetLeaseTest, TakesOneOperationAtATime) {
  start_with_one();
  EXPECT_TRUE(lease->get());
  EXPECT_TRUE(lease->busy());
  EXPECT_FALSE(lease->get());
  EXPECT_FALSE(lease->put("two", "101"));
  EXPECT_FALSE(lease->stamp());
  server.serve();
  EXPECT_EQ(owner.take(), Lines{"found one 101"});
}

TEST(FleetLease, ReadsTheClockThatCountsWhileTheMachineSleeps) {
  const BootTime before = boot_time();
  EXPECT_GT(before, BootTime{});
  EXPECT_GE(boot_time(), before);
}

}  // namespace
}  // namespace router::discovery
