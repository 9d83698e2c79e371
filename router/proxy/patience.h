#pragma once

#include <algorithm>

#include "router/base/time.h"
#include "router/http/head.h"

namespace router::proxy {

/// How long the client itself is ready to wait: `x-request-deadline-ms`, counted from the head's arrival (contract, section 3).
struct Patience {
  Deadline deadline = kNever;

  /// The end of a timeout of ours, or of the client's patience if that comes first.
  Deadline until(TimePoint from, Duration timeout) const { return std::min(deadline, deadline_after(from, timeout)); }
};

/// A value that is not a whole number of milliseconds is as if it had not been sent.
Patience patience_of(const http::RequestHead& head, TimePoint begun);

}  // namespace router::proxy
