#pragma once

#include <chrono>
#include <functional>
#include <string>

/// Times in the API server's format, always in UTC. They are for people; the router decides nothing by them.
namespace router::kubernetes {

using WallTime = std::chrono::system_clock::time_point;
/// The time of day; tests replace it.
using WallClock = std::function<WallTime()>;

/// `2026-01-31T12:00:00Z`.
std::string time_text(WallTime time);
/// `2026-01-31T12:00:00.123456Z`.
std::string micro_time_text(WallTime time);

}  // namespace router::kubernetes
