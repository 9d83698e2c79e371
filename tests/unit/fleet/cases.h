#pragma once

#include <gtest/gtest.h>

#include <memory>

#include "tests/unit/fleet/world.h"

namespace router::fleet::test {

/// Failure cases by name, each in a world of its own. At its end no pod has had more exchanges than slots.
class FleetCases : public testing::Test {
 protected:
  /// A fleet that serves everything.
  World& fleet(int hosts, WorldOptions options = {}) {
    options.hosts = hosts;
    options.namespaces = 6;
    world_ = std::make_unique<World>(options);
    for (int host = 0; host < hosts; ++host) world_->spawn(host);
    const bool served = world_->wait_served(40 * kSecond);
    EXPECT_TRUE(served) << world_->history() << world_->state();
    world_->run_for(12 * kSecond);
    return *world_;
  }

  Report report(int host) { return world_->process(host)->machine.report(world_->process(host)->clock()); }
  std::size_t members() { return decode_roster(world_->lease.roster)->members.size(); }
  /// A host whose process is home of something.
  int home() {
    int host = 0;
    while (report(host).homes == 0) ++host;
    return host;
  }
  bool covered(int host) { return world_->process(host)->clock() < world_->process(host)->machine.covered_until(); }

  void expect_served_within(Time limit) {
    EXPECT_TRUE(world_->wait_served(limit)) << world_->history() << world_->state();
    world_->run_for(5 * kSecond);
  }

  void TearDown() override {
    if (world_ == nullptr) return;
    EXPECT_EQ(world_->violation(), "") << world_->history();
  }

  std::unique_ptr<World> world_;
};

}  // namespace router::fleet::test
