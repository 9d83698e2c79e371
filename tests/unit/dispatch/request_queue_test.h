#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <memory>

#include "router/dispatch/request_queue.h"
#include "tests/unit/dispatch/queue_world.h"

namespace router::dispatch {

using namespace std::chrono_literals;
using test::TestShard;
using Started = TestShard::Started<Result<HeldSlot>>;

/// Two shards whose exchanges wait in queues.
struct RequestQueueTest : testing::Test {
  Started start(const std::shared_ptr<RequestQueue>& queue, TestShard& on, Duration patience = 5s) {
    return on.start(acquire(queue, on.now() + patience, on));
  }
  Started start(const std::shared_ptr<RequestQueue>& queue) { return start(queue, shard); }
  HeldSlot take_slot(const std::shared_ptr<RequestQueue>& queue) { return shard.run(acquire(queue, kNever, shard)).value(); }

  TestShard shard{0};
  TestShard other{1};
};

}  // namespace router::dispatch
