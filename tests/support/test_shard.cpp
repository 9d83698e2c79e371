#include "tests/support/test_shard.h"

#include <boost/asio/io_context.hpp>

namespace router::test {

void TestShard::poll() {
  shard_.io().restart();
  while (shard_.io().poll() > 0) {
  }
}

void TestShard::advance(Duration by) {
  clock_.advance(by);
  shard_.advance_timers();
  poll();
}

}  // namespace router::test
