#pragma once

#include <functional>
#include <memory>

#include "router/runtime/shard.h"

namespace router::runtime {

/// Turns signals into calls on the control thread, from its event loop: SIGTERM and SIGINT call `end`, SIGHUP calls `reload`.
/// The constructor makes the process ignore SIGPIPE. The destructor ends the calls and gives the three signals their default
/// action again. Control thread.
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
