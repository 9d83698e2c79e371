#include "router/proxy/handshakes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <optional>
#include <random>
#include <vector>

#include "tests/support/test_shard.h"
#include "tests/unit/proxy/woken_socket.h"

namespace router::proxy {
namespace {

/// The owner of a handshake, which is woken when the handshake is cut.
class Shaking final : public WokenSocket {
 public:
  Shaking(test::TestShard& shard, Handshakes& all, std::size_t max) : WokenSocket(shard) { entry_.emplace(all, socket_, max); }
  bool cut() const { return entry_->cut(); }
  void end() { entry_.reset(); }

 private:
  std::optional<Handshakes::Entry> entry_;
};

class HandshakesTest : public ::testing::Test {
 protected:
  Shaking& begin(std::size_t max) { return *begun.emplace_back(std::make_unique<Shaking>(shard, all, max)); }

  test::TestShard shard;
  Handshakes all;
  std::vector<std::unique_ptr<Shaking>> begun;
};

TEST_F(HandshakesTest, CutTheOldestForTheNewest) {
  const Shaking& first = begin(2);
  const Shaking& second = begin(2);
  const Shaking& third = begin(2);
  EXPECT_TRUE(first.cut());
  EXPECT_FALSE(second.cut() || third.cut());
  EXPECT_EQ(all.under_way(), 2u);
}

TEST_F(HandshakesTest, SpareThoseThatWaitForUs) {
  Shaking& first = begin(2);
  const Shaking& second = begin(2);
  first.client_sends();
  const Shaking& third = begin(2);
  EXPECT_FALSE(first.cut() || third.cut());
  EXPECT_TRUE(second.cut());
}

TEST_F(HandshakesTest, AreMoreThanTheLimitWhileAllWaitForUs) {
  for (int number = 0; number < 20; ++number) begin(4).client_sends();
  EXPECT_EQ(all.under_way(), 20u);
  const Shaking& silent = begin(4);
  for (int number = 0; number < 20; ++number) begin(4).client_sends();
  EXPECT_TRUE(silent.cut()) << "each new handshake looks at some others";
  EXPECT_EQ(all.under_way(), 40u);
}

TEST_F(HandshakesTest, WakeWhomTheyCutFromTheLoopAndOnce) {
  const Shaking& first = begin(1);
  begin(1);
  EXPECT_EQ(first.woken(), 0) << "the wake-up does not happen inside the call that began the other one";
  shard.poll();
  EXPECT_EQ(first.woken(), 1);
  begin(1);
  shard.poll();
  EXPECT_EQ(first.woken(), 1);
}

TEST_F(HandshakesTest, LeaveFromAnywhereInTheList) {
  begin(3);
  begin(3);
  const Shaking& third = begin(3);
  begun[1]->end();
  begun[0]->end();
  EXPECT_EQ(all.under_way(), 1u);
  begin(3);
  EXPECT_FALSE(third.cut());
  begun[3]->end();  // the newest one
  begin(1);
  EXPECT_TRUE(third.cut());
  EXPECT_EQ(all.under_way(), 1u);
}

TEST_F(HandshakesTest, StayInOrderWhenTheOnlyOneIsSparedForTheNextOne) {
  // Three handshakes and a limit of one. The client of the first one has sent bytes, the second one's is silent. The third one
  // spares the first, cuts the second, and spares the first again, which is then the only other one.
  begin(1).client_sends();
  const Shaking& silent = begin(1);
  const Shaking& third = begin(1);
  EXPECT_TRUE(silent.cut());
  EXPECT_FALSE(begun.front()->cut() || third.cut());
  EXPECT_EQ(all.under_way(), 2u);
  begun.clear();  // destroys the oldest one first
  EXPECT_EQ(all.under_way(), 0u);
  const Shaking& later = begin(1);
  EXPECT_FALSE(later.cut());
  EXPECT_EQ(all.under_way(), 1u);
}

TEST_F(HandshakesTest, StayInOrderWhateverComesAndGoes) {
  std::minstd_rand random(1);
  for (int step = 0; step < 5000; ++step) {
    Shaking& one = begin(1 + random() % 3);
    if (random() % 2 == 0) one.client_sends();
    if (begun.size() > random() % 16) begun.erase(begun.begin() + static_cast<std::ptrdiff_t>(random() % begun.size()));
    shard.poll();
    const auto under_way = std::count_if(begun.begin(), begun.end(), [](const auto& each) { return !each->cut(); });
    ASSERT_EQ(all.under_way(), static_cast<std::size_t>(under_way)) << "step " << step;
  }
}

TEST_F(HandshakesTest, MakeRoomForALowerLimitToo) {
  for (int i = 0; i < 5; ++i) begin(5);
  begin(2);
  EXPECT_EQ(all.under_way(), 2u);
  EXPECT_TRUE(begun[3]->cut());
  EXPECT_FALSE(begun[4]->cut());
}

TEST_F(HandshakesTest, MayEndAfterTheyWereCut) {
  begin(1);
  begin(1);
  begun.erase(begun.begin());  // with its socket, before the loop wakes it
  shard.poll();
  EXPECT_EQ(all.under_way(), 1u);
}

}  // namespace
}  // namespace router::proxy
