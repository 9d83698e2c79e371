#pragma once

#include <algorithm>

#include "router/base/result.h"
#include "router/base/time.h"
#include "router/http/head.h"

namespace router::proxy {

/// How long the client is ready to wait: `x-request-deadline-ms`, counted from the arrival of the head (contract, section 3).
struct Patience {
  Deadline deadline = kNever;

  /// The end of a timeout that begins at `from`, or the client's deadline if that is earlier.
  Deadline until(TimePoint from, Duration timeout) const { return std::min(deadline, deadline_after(from, timeout)); }
};

/// Fails with bad_request if the field is repeated or is not a whole number of milliseconds: a request whose bound cannot be
/// read must not be served without one. More than 2^32 - 1 ms count as 2^32 - 1.
Result<Patience> patience_of(const http::RequestHead& head, TimePoint begun);

}  // namespace router::proxy
