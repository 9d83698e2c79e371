#pragma once

#include <functional>
#include <future>

#include "router/runtime/shard.h"

namespace router::test {

/// Runs `work` on a shard that has its own thread, and waits until it has run.
inline void run_on(runtime::Shard& shard, const std::function<void()>& work) {
  std::promise<void> done;
  shard.post([&] {
    work();
    done.set_value();
  });
  done.get_future().wait();
}

}  // namespace router::test
