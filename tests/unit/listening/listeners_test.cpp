#include "router/listening/listeners.h"

#include <gtest/gtest.h>

#include "tests/unit/listening/listening_world.h"

namespace router::listening {
namespace {

class ListenersOfTheDataPath : public ListeningWorld {};

TEST_F(ListenersOfTheDataPath, KeepTheirIdWhateverStandsBeforeThem) {
  const std::uint16_t first = free_port();
  const std::uint16_t second = free_port();
  const auto before = ids(on({first}));
  const auto after = ids(on({second, first}));
  ASSERT_EQ(after.size(), 2u);
  EXPECT_EQ(after[1], before[0]);
  EXPECT_NE(after[0], before[0]);
  EXPECT_TRUE(is_open(first));
  EXPECT_TRUE(is_open(second));
}

TEST_F(ListenersOfTheDataPath, MayAskForAnyPortMoreThanOnce) {
  const auto both = ids(on({0, 0}));
  ASSERT_EQ(both.size(), 2u);
  EXPECT_NE(both[0], both[1]);
  EXPECT_EQ(ids(on({0, 0})), both) << "a later publication keeps their ids";
}

TEST_F(ListenersOfTheDataPath, CloseWhenTheyAreNotWantedAnyMore) {
  const std::uint16_t first = free_port();
  const std::uint16_t second = free_port();
  ids(on({first, second}));
  EXPECT_TRUE(listeners.would_change(on({second})));
  EXPECT_EQ(listeners.given_up(on({second})), std::set<std::uint16_t>{first});
  ids(on({second}));
  EXPECT_FALSE(is_open(first));
  EXPECT_TRUE(is_open(second));
  EXPECT_FALSE(listeners.would_change(on({second})));
  EXPECT_TRUE(listeners.given_up(on({second})).empty()) << "every shard has closed the first one";
}

TEST_F(ListenersOfTheDataPath, AreAsTheyWereIfOneCannotBeOpened) {
  const std::uint16_t first = free_port();
  ids(on({first}));
  const test::LoopbackListener other;
  config::Findings findings;
  change(on({free_port(), other.address().port()}), findings);
  EXPECT_TRUE(findings.has_mistakes());
  EXPECT_NE(findings.mistakes().find("cannot listen on"), std::string::npos) << findings.mistakes();
  turn();
  EXPECT_TRUE(is_open(first));
  EXPECT_FALSE(listeners.would_change(on({first})));
}

TEST_F(ListenersOfTheDataPath, CloseWhatWasPreparedAndNeverCameIntoForce) {
  const std::uint16_t port = free_port();
  {
    config::Findings findings;
    const Listeners::Change dropped = listeners.prepare(on({port}), {}, findings);
    EXPECT_FALSE(findings.has_mistakes());
    EXPECT_TRUE(is_open(port)) << "the kernel queues connections from then on";
  }
  EXPECT_FALSE(is_open(port));
}

}  // namespace
}  // namespace router::listening
