#pragma once

#include "router/base/time.h"
#include "router/http/head.h"

namespace router::proxy {

/// Until when a replica that answers like this wants to be left alone: 503 and 429 with a Retry-After in seconds, of which at
/// most kSheddingMax are believed. A date instead of seconds is not read. TimePoint{}: it does not.
TimePoint sheds_until(const http::ResponseHead& head, TimePoint now);

inline constexpr std::chrono::seconds kSheddingMax{60};

}  // namespace router::proxy
