#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>

#include "router/discovery/probe.h"

namespace router::discovery {

/// When an ejected or refusing replica is probed, and which result readmits it. Reasons: docs/decisions/0018.
struct ReturnTerms {
  TimePoint from{};                          // when the first probe starts
  Duration pause = std::chrono::seconds{1};  // before the second probe; it doubles with each further one, up to a second
  std::optional<runtime::Address> accepts;   // the replica must accept a connection at this address
  enum class Answer {
    kNone,   // no answer is needed
    kAny,    // any HTTP status is enough: Kubernetes decides on readiness, and the router does not know that route
    kReady,  // the readiness route must answer with a status that means ready
  };
  Answer answer = Answer::kReady;
};

/// Probes an ejected or refusing replica until its terms are met (contract, sections 6 and 7). Then it calls `well` once, from
/// the loop. Before that it calls `not_yet` with each answer that does not meet the terms. Control thread. It stops when
/// destroyed, and calls nothing after that.
class Readmission {
 public:
  /// `group` owns the task and outlives it; it must have room for one more task.
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
