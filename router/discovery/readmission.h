#pragma once

#include <functional>
#include <memory>

#include "router/discovery/probe.h"

namespace router::discovery {

/// The way back of an ejected replica: when its time is over it is asked whether it is ready, and then once a second, until it
/// is; then `well` is called, once, from the loop (contract, section 7).
/// Control thread; ends when destroyed, and calls nothing after that.
class Readmission {
 public:
  /// `group` owns the task and outlives it; it must have room.
  Readmission(runtime::Shard& control, runtime::TaskGroup& group, ProbeTarget target, TimePoint until,
              std::function<void()> well);
  Readmission(const Readmission&) = delete;
  Readmission& operator=(const Readmission&) = delete;
  ~Readmission();

 private:
  struct Waiting;
  std::shared_ptr<Waiting> waiting_;
};

}  // namespace router::discovery
