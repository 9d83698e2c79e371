#pragma once

#include <functional>
#include <memory>

#include "router/runtime/shard.h"

namespace router::runtime {

/// Turns signals into calls on the control thread, from its loop: TERM and INT end, HUP reloads. PIPE is ignored from here on.
/// Once destroyed, calls nothing, and the three signals do again what they do by default. Control thread.
class Signals {
 public:
  Signals(Shard& control, std::function<void()> end, std::function<void()> reload);
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;
  ~Signals();

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace router::runtime
