#pragma once

#include <chrono>
#include <string_view>

#include "config/config.h"
#include "router/base/failure.h"
#include "router/proxy/downstream.h"

namespace router::proxy {

/// The HTTP status of a refusal (contract, section 4).
int status_of(Reason reason, config::StatusProfile profile);

/// Refusals that carry `Retry-After`: the same request may succeed a little later.
bool asks_to_retry(Reason reason);

/// What a response of the router itself carries beside its reason.
struct LocalReply {
  Reason reason = Reason::kInternal;
  config::StatusProfile profile = config::StatusProfile::kKubernetes;
  std::string_view message;             // a literal
  std::string_view detail;              // behind it; nothing in it needs escaping. Empty: none. Outlives the flush
  std::string_view request_id;          // this and what follows outlive the flush of the reply
  std::string_view client_request_id;   // empty: not sent
  std::string_view deployment;          // empty: none was chosen
  std::chrono::seconds retry_after{1};  // for refusals that are worth another try
};

/// The methods that are served, as `Allow` lists them; any other but CONNECT and TRACE is forwarded, too.
inline constexpr std::string_view kAllow = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// Gathers the whole response; returns its status. The caller flushes.
int write_local_reply(Downstream& downstream, const LocalReply& reply);

}  // namespace router::proxy
