#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cerrno>
#include <memory>
#include <vector>

#include "router/dispatch/request_queue.h"
#include "router/upstream/exchange.h"
#include "router/upstream/replica.h"
#include "tests/support/loopback.h"
#include "tests/support/test_shard.h"

namespace router::upstream {
namespace {

class Patient final : public stream::Cancellation {
 public:
  Result<void> still_wanted() override { return {}; }
  Result<void> may_take_slot() const override { return {}; }
  Deadline ask_again(TimePoint) const override { return kNever; }
};

class OpenTest : public ::testing::Test {
 protected:
  /// Opens a connection to a replica with one slot at `address`. Returns the failure.
  Failure failure_of(const runtime::Address& address) {
    const auto queue = std::make_shared<dispatch::RequestQueue>(dispatch::QueueOptions{}, shard.clock());
    const auto replica = std::make_shared<Replica>(
        ReplicaOptions{.name = "pod:1", .slots = 1, .host = "pod", .address = address, .transport = nullptr});
    queue->set_replicas({replica});
    queue->set_ready(replica, true);
    runtime::Wakeup wakeup(shard);
    Result<dispatch::RequestQueue::Entry> entry = queue->enter(wakeup);
    dispatch::HeldSlot held_slot = std::move(entry->held_slot);
    OpenOptions options;
    options.connect_timeout = std::chrono::seconds(5);
    auto opening = shard.start(open(held_slot, options, wakeup, patient));
    EXPECT_TRUE(test::turn_until(shard, [&] { return opening.done(); }));
    return opening.get().error();
  }

  test::TestShard shard;
  Patient patient;
};

TEST_F(OpenTest, BlamesThePodThatRefuses) {
  test::LoopbackListener listener;
  listener.close();
  const Failure failure = failure_of(listener.address());
  EXPECT_EQ(failure.reason, Reason::kUpstreamConnectFailed);
  EXPECT_EQ(failure.origin, Origin::kUpstream);
  EXPECT_EQ(failure.system_error, ECONNREFUSED);
}

#ifndef ROUTER_SANITIZED  // a sanitizer needs descriptors of its own
TEST_F(OpenTest, BlamesNoPodForAShortageOfOurs) {
  const test::LoopbackListener listener;
  rlimit before{};
  ::getrlimit(RLIMIT_NOFILE, &before);
  const rlimit none{3, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  const Failure failure = failure_of(listener.address());
  ::setrlimit(RLIMIT_NOFILE, &before);
  EXPECT_EQ(failure.reason, Reason::kUpstreamConnectFailed);
  EXPECT_EQ(failure.origin, Origin::kInternal);
  EXPECT_EQ(failure.system_error, EMFILE);
}

TEST_F(OpenTest, LeavesTheLastDescriptorsToOperators) {
  const test::LoopbackListener listener;
  rlimit before{};
  ::getrlimit(RLIMIT_NOFILE, &before);
  std::vector<test::Descriptor> below;  // takes all lower numbers, so that the next ones follow each other
  do below.emplace_back(::socket(AF_INET, SOCK_STREAM, 0));
  while (below.back().get() < 300);
  const test::Descriptor lowest(::socket(AF_INET, SOCK_STREAM, 0));
  // Only descriptors of the reserved sixteenth are left: with this limit it begins at the next number.
  const rlimit nearly{static_cast<rlim_t>(lowest.get() + 2) * 16 / 15, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &nearly), 0);
  const test::Descriptor still_there(::socket(AF_INET, SOCK_STREAM, 0));
  EXPECT_TRUE(still_there);
  const Failure failure = failure_of(listener.address());
  ::setrlimit(RLIMIT_NOFILE, &before);
  EXPECT_EQ(failure.system_error, EMFILE);
}
#endif

}  // namespace
}  // namespace router::upstream
