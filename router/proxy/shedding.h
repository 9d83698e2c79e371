#pragma once

#include "router/base/time.h"
#include "router/http/head.h"

namespace router::proxy {

/// Until when the router sends no requests to a replica that has answered with `head`: a 503 or 429 with a Retry-After in
/// seconds, of which at most kSheddingMax count. A date in Retry-After is not read. TimePoint{}: the answer asks for no pause.
TimePoint sheds_until(const http::ResponseHead& head, TimePoint now);

inline constexpr std::chrono::seconds kSheddingMax{60};

}  // namespace router::proxy
