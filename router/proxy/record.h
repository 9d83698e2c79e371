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

/// The ids of one exchange, made once, from its head.
struct RequestIds {
  UuidText generated;                       // used unless the client sent a UUID
  std::string_view request_id;              // `x-request-id`
  http::ClientRequestId client_request_id;  // empty: none was sent
};

/// What happened to one exchange and when (the times are those of the last attempt). The steps of the exchange fill it in, and
/// `Account` reports it once.
struct Record {
  const model::Endpoint* endpoint = nullptr;
  const model::Deployment* deployment = nullptr;
  model::Caller caller;
  const RequestIds* ids = nullptr;

  TimePoint begun{};       // the head was complete
  TimePoint queued{};      // reached the queue
  TimePoint left_queue{};  // got a slot, or stopped waiting for one
  Duration in_queue{};     // time spent waiting for a slot, over all attempts
  TimePoint sent{};        // the last request byte was handed to the kernel
  TimePoint answered{};    // the pod's head arrived
  TimePoint ended{};       // the last response byte was handed to the kernel, or the exchange was aborted
  TimePoint settled{};     // the slot was given back, and the rest of the request dropped: does not concern the client
  Duration waited{};       // time asleep until `ended`: waiting for a slot, the pod, or the client

  int status = 0;        // sent to the client
  int model_status = 0;  // received from the pod
  Reason reason = Reason::kNone;
  const char* cause = "";
  std::shared_ptr<const std::string> trouble;  // with no_ready_replica: why the replicas do not serve; nullptr: unknown
  int system_error = 0;
  int attempts = 0;              // attempts to reach a replica
  bool refused_retried = false;  // another attempt was made after a connection that the replica's kernel refused,
  bool connect_retried = false;  // after one that could not be made for another reason,
  bool stale_retried = false;    // and after a connection that had ended before it was used
  bool abort_unnoticed = false;  // the exchange was aborted, and the pod's side stayed open for longer than abort_wait
  std::string replica;           // host:port
  bool per_replica = false;      // the replica's own metrics count this exchange
};

}  // namespace router::proxy
