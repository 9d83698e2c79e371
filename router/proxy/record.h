#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "router/base/failure.h"
#include "router/base/ids.h"
#include "router/base/time.h"
#include "router/http/client_request_id.h"
#include "router/model/table.h"

namespace router::proxy {

/// What one exchange is known by: made once, from its head.
struct RequestIds {
  UuidText generated;                       // used unless the client sent a UUID
  std::string_view request_id;              // `x-request-id`
  http::ClientRequestId client_request_id;  // empty: none was sent
};

/// What happened to one exchange and when (times of the last attempt), filled in by the steps it takes and told once, by
/// `account`.
struct Record {
  const model::Endpoint* endpoint = nullptr;
  model::Route route;
  model::Caller caller;
  const RequestIds* ids = nullptr;

  TimePoint begun{};       // the head was complete
  TimePoint queued{};      // came as far as the queue
  TimePoint left_queue{};  // holds a slot, or gave up waiting for one
  Duration in_queue{};     // waited for a slot, all attempts together
  TimePoint sent{};        // the last request byte was handed to the kernel
  TimePoint answered{};    // the pod's head arrived
  TimePoint ended{};       // the last response byte was handed to the kernel, or the exchange given up
  TimePoint settled{};     // the slot was given back, and the rest of the request dropped: concerns no client any more
  Duration waited{};       // asleep until it ended: in the queue, for the pod, for the client

  int status = 0;        // that the client saw
  int model_status = 0;  // that the pod sent
  Reason reason = Reason::kNone;
  const char* cause = "";
  std::shared_ptr<const std::string> trouble;  // of no_ready_replica: what keeps the replicas from serving; nullptr: unknown
  int system_error = 0;
  int attempts = 0;              // to reach a replica
  bool refused_retried = false;  // another attempt was made after a connection that the replica's kernel refused,
  bool connect_retried = false;  // after one that could not be made for another reason,
  bool stale_retried = false;    // and after a connection that had ended before it was used
  bool abort_unnoticed = false;  // the exchange was given up, and the pod's side stayed open for longer than abort_wait
  std::string replica;           // host:port
  bool per_replica = false;      // its figures count this exchange
};

}  // namespace router::proxy
