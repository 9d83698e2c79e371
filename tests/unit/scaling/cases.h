#pragma once

#include <chrono>

#include "router/scaling/decide.h"

namespace router::scaling::test {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

inline constexpr TimePoint kStart{hours(1000)};

/// A deployment of 3 pods with one slot each, 1 to 15 pods, target 70 %, which nothing freezes and that has been so for long.
inline Figures steady() {
  Figures figures;
  figures.settings = {.min_instances = 1, .max_instances = 15};
  figures.load.busy = 2;
  figures.averaged = seconds(5);
  figures.pod_start = seconds(30);
  figures.window = seconds(300);
  figures.replicas = figures.ready = figures.replicas_before = figures.highest_want = 3;
  figures.leader_age = hours(1);
  figures.signals_complete = true;
  return figures;
}

/// The same where `busy` slots were busy in the whole window.
inline Figures steady(double busy) {
  Figures figures = steady();
  figures.load.busy = busy;
  figures.highest_want = want_of(figures);
  return figures;
}

}  // namespace router::scaling::test
