#pragma once

#include <string>

#include "router/scaling/decide.h"

namespace router::scaling {

inline constexpr std::size_t kMessageMost = 256;  // bytes

/// The message of the condition Autoscaled and of Events, at most kMessageMost bytes of ASCII, with the figures that led to the
/// decision: `3 -> 5: busy 2.9 + waiting 1.4 of 3 slots in 10 s; offered 41.2/s x 104 ms = 4.3; target 70 %; at most 15`. Parts
/// that say nothing are left out: what is held for waking, what was refused, what the window keeps.
std::string explain(const Figures& figures, const Decision& decision);

}  // namespace router::scaling
