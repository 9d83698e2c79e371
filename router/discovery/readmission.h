#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>

#include "router/discovery/probe.h"

namespace router::discovery {

/// When a replica that is out is asked, and what is well enough. Why each: docs/decisions/0018.
struct ReturnTerms {
  TimePoint from{};                          // the first question, then
  Duration pause = std::chrono::seconds{1};  // after this the second one, then after twice as long each, up to a second
  std::optional<runtime::Address> accepts;   // it must accept a connection there
  enum class Answer {
    kNone,   // is not asked for
    kAny,    // it must answer, whatever the status: nobody has told the router the route by which it is ready
    kReady,  // it must say on its readiness route that it is ready
  };
  Answer answer = Answer::kReady;
};

/// The way back of a replica that is out (ejected, or refusing): it is asked as its terms say until it does well; then `well`
/// is called, once, from the loop (contract, sections 6 and 7); before that `not_yet`, with each answer that is not well
/// enough. Control thread; ends when destroyed, and calls nothing after that.
class Readmission {
 public:
  /// `group` owns the task and outlives it; it must have room.
  Readmission(runtime::Shard& control, runtime::TaskGroup& group, ProbeTarget target, ReturnTerms terms,
              std::function<void()> well, std::function<void(const ProbeAnswer&)> not_yet = {});
  Readmission(const Readmission&) = delete;
  Readmission& operator=(const Readmission&) = delete;
  ~Readmission();

 private:
  struct Waiting;
  std::shared_ptr<Waiting> waiting_;
};

}  // namespace router::discovery
