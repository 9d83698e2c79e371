#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <memory>

#include "router/dispatch/line.h"
#include "tests/unit/dispatch/line_world.h"

namespace router::dispatch {

using namespace std::chrono_literals;
using test::TestShard;
using Started = TestShard::Started<Result<Lease>>;

/// Two shards whose exchanges wait in lines.
struct LineTest : testing::Test {
  Started start(const std::shared_ptr<Line>& line, TestShard& on, Duration patience = 5s) {
    return on.start(acquire(line, on.now() + patience, on));
  }
  Started start(const std::shared_ptr<Line>& line) { return start(line, shard); }
  Lease lease(const std::shared_ptr<Line>& line) { return shard.run(acquire(line, kNever, shard)).value(); }

  TestShard shard{0};
  TestShard other{1};
};

}  // namespace router::dispatch
