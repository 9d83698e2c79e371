#pragma once

#include <algorithm>

#include "router/base/result.h"
#include "router/base/time.h"
#include "router/http/head.h"

namespace router::proxy {

/// How long the client itself is ready to wait: `x-request-deadline-ms`, counted from the head's arrival (contract, section 3).
struct Patience {
  Deadline deadline = kNever;

  /// The end of a timeout of ours, or of the client's patience if that comes first.
  Deadline until(TimePoint from, Duration timeout) const { return std::min(deadline, deadline_after(from, timeout)); }
};

/// Fails with bad_request where the field is there twice, or is no whole number of milliseconds: a client that means to set a
/// bound must not be served without one. More than 2^32 ms count as 2^32 - 1.
Result<Patience> patience_of(const http::RequestHead& head, TimePoint begun);

}  // namespace router::proxy
