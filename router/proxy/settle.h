#pragma once

#include "router/base/task.h"
#include "router/proxy/attempt.h"
#include "router/proxy/downstream.h"
#include "router/runtime/wakeup.h"

namespace router::proxy {

/// When the two sides of an exchange were over.
struct Settled {
  TimePoint ended{};    // the client has its response, or is gone
  TimePoint settled{};  // and the slot was given back, and the rest of the request dropped
  Duration waited{};    // asleep until `ended`
};

/// Finishes an exchange after its result is decided. Three things happen at the same time: the client reads the rest of its
/// response within the timeouts (or has already gone), the pod closes a connection that cannot be used again, and the rest of
/// the request's body is read and dropped. `ended`: when the client's side was over, if it was before. Suspends.
Task<Settled> settle(Downstream& downstream, Attempt& attempt, runtime::Wakeup& wakeup, Duration send_timeout,
                     TimePoint ended = {});

}  // namespace router::proxy
