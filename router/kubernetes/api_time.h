#pragma once

#include <chrono>
#include <functional>
#include <string>

/// Times as the API server writes them, always in UTC. They are for people: nothing is decided by them.
namespace router::kubernetes {

using WallTime = std::chrono::system_clock::time_point;
/// The seam at which tests replace the time of day.
using WallClock = std::function<WallTime()>;

/// `2026-01-31T12:00:00Z`.
std::string time_text(WallTime time);
/// `2026-01-31T12:00:00.123456Z`.
std::string micro_time_text(WallTime time);

}  // namespace router::kubernetes
