#include "tests/support/test_shard.h"

#include <boost/asio/io_context.hpp>

namespace router::test {

void poll(runtime::Shard& shard) {
  shard.io().restart();
  while (shard.io().poll() > 0) {
  }
}

void TestShard::poll() { test::poll(shard_); }

void TestShard::advance(Duration by) {
  clock_.advance(by);
  shard_.advance_timers();
  poll();
}

}  // namespace router::test
