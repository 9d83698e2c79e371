#pragma once

#include <chrono>
#include <optional>
#include <string_view>

#include "config/config.h"
#include "router/base/failure.h"
#include "router/base/time.h"
#include "router/dispatch/request_queue.h"
#include "router/proxy/downstream.h"

namespace router::proxy {

/// The HTTP status of a refusal (contract, section 4).
int status_of(Reason reason, config::StatusProfile profile);

/// Refusals that carry `Retry-After`: the same request may succeed a little later.
bool asks_to_retry(Reason reason);

/// The value of `Retry-After`: the wait that the queue expects, in whole seconds, 1 to 60; 1 if the wait is not known.
std::chrono::seconds retry_after(std::optional<Duration> expected_wait);
/// The value of `Retry-After` for a request that was refused before or in this queue. If it lacked a replica, and one is to be
/// started: when that is likely to be ready, 1 s to an hour.
std::chrono::seconds retry_after(const dispatch::RequestQueue& queue, Reason reason);

/// Refusals for want of capacity: more replicas, or their start, would have prevented them.
bool lacks_capacity(Reason reason);

/// The contents of a local reply.
struct LocalReply {
  Reason reason = Reason::kInternal;
  config::StatusProfile profile = config::StatusProfile::kKubernetes;
  std::string_view message;             // a literal
  std::string_view detail;              // appended to it; must not need escaping; empty: none; outlives the flush
  std::string_view request_id;          // this and the next two outlive the flush of the reply
  std::string_view client_request_id;   // empty: not sent
  std::string_view deployment;          // empty: none was chosen
  std::chrono::seconds retry_after{1};  // sent if `asks_to_retry(reason)`
};

/// The value of `Allow`. Other methods are forwarded, too, except CONNECT and TRACE.
inline constexpr std::string_view kAllow = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// Writes the whole response into the buffer and returns its status. The caller flushes it.
int write_local_reply(Downstream& downstream, const LocalReply& reply);

}  // namespace router::proxy
