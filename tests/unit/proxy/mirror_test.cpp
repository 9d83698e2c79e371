#include "router/proxy/mirror.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>

#include "tests/support/failing_memory.h"
#include "tests/support/test_shard.h"

namespace router::proxy {
namespace {

using metrics::MirrorResult;
using test::FailingMemory;

class MirrorTest : public ::testing::Test {
 protected:
  /// A copy of a whole request, whose body was begun twice.
  std::unique_ptr<MirrorCopy> collect() {
    const auto write_head = [this](stream::RequestSink& to) {
      to.begin_head("POST", "/score", "/below", "a=1");
      for (int i = 0; i < 5; ++i) to.field("name-of-a-field", long_text);
      to.end_head({stream::BodySize::Kind::kUnknown});
    };
    std::unique_ptr<MirrorCopy> copy = MirrorCopy::begin(*mirrors, {}, deployment, http::Method::kPost, write_head);
    if (copy == nullptr) return copy;
    for (int i = 0; i < 20; ++i) copy->body_piece(long_text);
    copy->restart_body();
    copy->body_piece(long_text);
    copy->body_end(nullptr);
    return copy;
  }
  std::uint64_t counted(MirrorResult result) const { return cells.mirrored[static_cast<std::size_t>(result)].value(); }

  const std::string long_text = std::string(1000, 'x');
  const model::Deployment deployment;
  metrics::ShardCells cells;
  test::TestShard shard;
  std::optional<Mirrors> mirrors{std::in_place, shard, 1, cells};
};

TEST_F(MirrorTest, IsGivenUpAndCountedWhereACopyFindsNoMemory) {
  std::uint64_t given_up = 0;
  for (std::size_t served = 0;; ++served) {
    FailingMemory failing(served, 1);
    std::unique_ptr<MirrorCopy> copy = collect();
    const bool whole = copy != nullptr && copy->wanted() && copy->complete();
    copy.reset();
    if (failing.failed() == 0) {
      EXPECT_TRUE(whole);
      break;
    }
    EXPECT_FALSE(whole);
    ASSERT_EQ(counted(MirrorResult::kNoMemory), ++given_up) << served;
  }
  EXPECT_GT(given_up, 10u);
}

TEST_F(MirrorTest, IsCountedWhereACompleteCopyFindsNoMemoryToLeave) {
  std::unique_ptr<MirrorCopy> copy = collect();
  ASSERT_TRUE(copy != nullptr && copy->complete());
  const test::EmptyFrameCache empty;  // earlier tests may have left frames
  FailingMemory failing(0);
  MirrorCopy::send(std::move(copy));
  shard.poll();
  EXPECT_GT(failing.failed(), 0u);
  EXPECT_EQ(counted(MirrorResult::kNoMemory), 1u);
  EXPECT_EQ(mirrors->sending(), 0u);
}

TEST_F(MirrorTest, EndsTheCopiesThatHaveNotLeftYet) {
  MirrorCopy::send(collect());
  MirrorCopy::send(collect());
  mirrors.reset();
  std::uint64_t all = 0;
  for (const metrics::Cell& each : cells.mirrored) all += each.value();
  EXPECT_EQ(all, 2u);
  shard.poll();
}

TEST_F(MirrorTest, SendsNoCopyAfterItsEnd) {
  MirrorCopy::send(collect());
  mirrors->stop();
  shard.poll();
  EXPECT_EQ(mirrors->sending(), 0u);
  EXPECT_EQ(counted(MirrorResult::kIncomplete), 1u);
}

}  // namespace
}  // namespace router::proxy
