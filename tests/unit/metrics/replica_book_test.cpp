#include "router/metrics/replica_book.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace router::metrics {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

ReplicaFigures replica(const std::string& name, std::uint64_t requests = 1) {
  ReplicaFigures figures;
  figures.endpoint = "iris";
  figures.deployment = "blue";
  figures.replica = name;
  figures.requests = requests;
  figures.slots_in_use = 1;
  return figures;
}

class ReplicaBookTest : public testing::Test {
 protected:
  void update(const std::vector<ReplicaFigures>& present, std::size_t max = 3) {
    book.update(present, max, clock.now(), 10min);
  }
  std::vector<std::string> names() const {
    std::vector<std::string> all;
    for (const ReplicaFigures& each : book.shown()) all.push_back(each.replica);
    return all;
  }

  ManualClock clock;
  ReplicaBook book;
};

TEST_F(ReplicaBookTest, LetsThoseThatHaveFiguresKeepThem) {
  update({replica("c"), replica("d"), replica("e")});
  update({replica("a"), replica("b"), replica("c"), replica("d"), replica("e")});
  EXPECT_THAT(names(), ElementsAre("c", "d", "e"));
  EXPECT_EQ(book.left_out(), 2u);
  update({replica("c", 7), replica("d"), replica("e")});
  EXPECT_EQ(book.shown().front().requests, 7u);
  EXPECT_EQ(book.left_out(), 0u);
}

TEST_F(ReplicaBookTest, KeepsWhatIsGoneForAWhileAndLetsItMakeRoomBefore) {
  update({replica("a", 5), replica("b"), replica("c")});
  update({replica("b"), replica("c")});
  EXPECT_THAT(names(), ElementsAre("a", "b", "c"));
  EXPECT_EQ(book.shown().front().requests, 5u) << "the last figure that was reported";
  EXPECT_EQ(book.shown().front().slots_in_use, 0u);
  clock.advance(1min);
  update({replica("c")});
  update({replica("c"), replica("d")});
  EXPECT_THAT(names(), ElementsAre("b", "c", "d")) << "`a` had been gone for longest";
  clock.advance(10min);
  update({replica("c"), replica("d")});
  EXPECT_THAT(names(), ElementsAre("c", "d"));
}

TEST_F(ReplicaBookTest, TakesOneThatComesBackForTheOneItWas) {
  update({replica("a")});
  update({});
  clock.advance(9min);
  update({replica("a", 2)});
  clock.advance(9min);
  update({});
  EXPECT_THAT(names(), ElementsAre("a"));
}

TEST_F(ReplicaBookTest, ShowsNoMoreThanItMayWhateverComesAndGoes) {
  update({replica("a"), replica("b"), replica("c")});
  update({replica("d"), replica("e"), replica("f"), replica("g")});
  EXPECT_THAT(names(), ElementsAre("d", "e", "f"));
  EXPECT_EQ(book.left_out(), 1u);
  update({replica("d"), replica("e"), replica("f")}, 1);
  EXPECT_THAT(names(), ElementsAre("d"));
  EXPECT_EQ(book.left_out(), 2u);
  book.clear();
  EXPECT_THAT(names(), IsEmpty());
}

TEST_F(ReplicaBookTest, AddsUpAPodAndItsSuccessorAtTheSameAddress) {
  update({replica("a", 5), replica("a", 2)});
  ASSERT_THAT(names(), ElementsAre("a"));
  EXPECT_EQ(book.shown().front().requests, 7u);
  EXPECT_EQ(book.shown().front().slots_in_use, 2u);
}

}  // namespace
}  // namespace router::metrics
