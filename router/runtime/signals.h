#pragma once

#include <functional>
#include <memory>

#include "router/runtime/shard.h"

namespace router::runtime {

/// Turns signals into calls on the control thread: TERM and INT end, HUP reloads. PIPE is ignored from here on.
class Signals {
 public:
  Signals(Shard& control, std::function<void()> end, std::function<void()> reload);
  ~Signals();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace router::runtime
