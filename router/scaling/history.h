#pragma once

#include <deque>

#include "router/scaling/settings.h"

namespace router::scaling {

/// The most (or the least) of a number over the last time. Keeps only values that can still become the answer, at most one for
/// each different number: a number of replicas has at most max_instances of them.
class SlidingExtreme {
 public:
  enum class Which { kMost, kLeast };
  /// `longest`: the most that `length` will be.
  SlidingExtreme(Which which, Seconds longest) : which_(which), longest_(longest) {}

  void set_longest(Seconds longest) { longest_ = longest; }

  /// Adds `value` and returns the extreme over the last `length`, `value` included. `now` never goes back; `length` may change.
  int add(TimePoint now, int value, Seconds length);

 private:
  struct Kept {
    TimePoint at{};
    int value = 0;
  };
  bool beats(int one, int another) const { return which_ == Which::kMost ? one >= another : one <= another; }

  Which which_;
  Seconds longest_;
  std::deque<Kept> kept_;
};

/// How long pods take to start: from the time when replicas were asked for to the time when an endpoint more is ready.
class PodStarts {
 public:
  /// What is seen now: spec.replicas, ready endpoints, whether a rollout is in progress (what becomes ready then says nothing).
  void see(TimePoint now, int replicas, int ready, bool rollout);

  /// The median of the last 8 starts; kPodStartAtFirst until there was one.
  Seconds median() const;
  /// How long the oldest replica that was asked for and is not ready has been asked for; 0 if there is none.
  Seconds asked_for(TimePoint now) const;

 private:
  struct Asked {
    TimePoint at{};
    int count = 0;
  };
  void ready_more(TimePoint now, int count, bool rollout);

  bool seen_ = false;
  int replicas_ = 0;
  int ready_most_ = 0;  // since replicas were asked for last: a pod that is ready again is no start
  std::deque<Asked> asked_;
  std::deque<Seconds> starts_;
};

}  // namespace router::scaling
