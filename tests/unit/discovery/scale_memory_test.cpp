#include <gtest/gtest.h>

#include <functional>
#include <new>
#include <string>

#include "router/discovery/scale_target.h"
#include "router/discovery/scale_targets.h"
#include "tests/support/failing_memory.h"
#include "tests/unit/discovery/scale_world.h"

namespace router::discovery {
namespace {

TEST(ScaleTarget, AWriteThatWasInterruptedIsUnknownAndThenALook) {
  ScaleTarget target(scaled("blue"));
  target.set_hpas({}, TimePoint());
  ASSERT_TRUE(target.look());
  kubernetes::ApiAnswer answer;
  answer.status = 200;
  answer.body = R"({"metadata":{"name":"blue","uid":"u","resourceVersion":"7",
    "annotations":{"inference-router.dev/scaled-for":"iris/blue"}},"spec":{"replicas":3}})";
  target.look_answered(answer, TimePoint());
  ASSERT_TRUE(target.can_write(TimePoint()));
  target.begin_write(5);
  EXPECT_FALSE(target.look()) << "not beside a write";
  EXPECT_EQ(target.write_request()->method, "PUT");
  EXPECT_EQ(target.write_request()->method, "GET") << "asked again, since an exception has interrupted the first one";
  EXPECT_EQ(target.take_end()->result, ScaleWriteResult::kUnknown);
  EXPECT_TRUE(target.seen().writing);
  EXPECT_FALSE(target.write_answered(answer, TimePoint()));
  EXPECT_TRUE(target.can_write(TimePoint()));
}

class ScaleMemoryTest : public ScaleTargetsTest {
 protected:
  /// Runs `steps`, and then turns of the loop. Returns whether the allocation after `served` others has failed.
  bool fails(std::size_t served, const std::function<void()>& steps) {
    const test::FailingMemory one(served, 1);
    try {
      steps();
    } catch (const std::bad_alloc&) {
    }
    for (int i = 0; i < 10; ++i) shard.poll();
    return one.failed() > 0;
  }
  /// Lets all pauses and the interval between two looks pass.
  void wait() {
    for (const int step : {1, 2, 5}) {
      shard.advance(seconds(step));
      serve();
    }
  }
  /// Whatever has failed, the target is known and can be written within seconds.
  void check(std::size_t served) {
    wait();
    EXPECT_FALSE(blue().writing) << served;
    if (server.replicas("blue") == 3) {
      EXPECT_TRUE(targets->write("blue", 5)) << served;
      serve();
    }
    EXPECT_EQ(blue().replicas, 5) << served;
    EXPECT_EQ(server.replicas("blue"), 5) << served;
    EXPECT_EQ(blue().foreign_changes, 0u) << served;
    ends.clear();
  }
};

TEST_F(ScaleMemoryTest, AWriteEndsWhicheverAllocationFails) {
  for (std::size_t served = 0;; ++served) {
    start_with(3);
    const bool failed = fails(served, [this] { targets->write("blue", 5); });
    check(served);
    if (!failed) break;
  }
}

TEST_F(ScaleMemoryTest, TheAnswerToAWriteCountsWhicheverAllocationFails) {
  for (std::size_t served = 0;; ++served) {
    start_with(3);
    ASSERT_TRUE(targets->write("blue", 5));
    server.answer(server.next());
    const bool failed = fails(served, [] {});
    check(served);
    if (!failed) break;
  }
}

TEST_F(ScaleMemoryTest, AForeignChangeIsCountedOnceWhicheverAllocationFails) {
  for (std::size_t served = 0;; ++served) {
    start_with(3);
    server.scale("blue", 9, "kubectl");
    shard.advance(milliseconds(200));
    targets->look_now("blue");
    server.answer(server.next());
    const bool failed = fails(served, [] {});
    wait();
    EXPECT_EQ(blue().foreign_changes, 1u) << served;
    EXPECT_EQ(blue().foreign_writer, "kubectl (Update) set 9") << served;
    EXPECT_FALSE(changes.empty()) << served;
    if (!failed) break;
  }
}

}  // namespace
}  // namespace router::discovery
