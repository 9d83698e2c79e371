#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "router/base/result.h"
#include "router/http/head.h"
#include "router/model/table.h"
#include "router/proxy/patience.h"
#include "router/stream/request_sink.h"

/// The fields in which two routers of a fleet speak about a request that one sends on to the other
/// (docs/decisions/0072-requests-sent-on.md). They are believed on connections between routers only: requests of clients and
/// answers of pods lose every field that begins with `x-ir-`.
namespace router::proxy {

namespace fleet_field {
// of a request
inline constexpr std::string_view kDeployment = "x-ir-deployment";  // NAMESPACE/ENDPOINT/DEPLOYMENT; no namespace: a file
inline constexpr std::string_view kTo = "x-ir-to";                  // id of the member that is meant
inline constexpr std::string_view kAge = "x-ir-age-us";             // since it came to the queue
inline constexpr std::string_view kDeadline = "x-ir-deadline-ms";   // what the client has left; missing: it named none
inline constexpr std::string_view kEpoch = "x-ir-epoch";            // of the sender's roster
inline constexpr std::string_view kCopy = "x-ir-copy";              // 1: a mirrored copy, which waits for no slot; else missing
inline constexpr std::string_view kId = "x-ir-id";                  // x-request-id
// of the interim answer 199
inline constexpr std::string_view kReplica = "x-ir-replica";
inline constexpr std::string_view kQueued = "x-ir-queued-us";  // since it came to the queue, on all routers together
// of a local reply
inline constexpr std::string_view kReason = "x-ir-reason";
inline constexpr std::string_view kMessage = "x-ir-message";
inline constexpr std::string_view kHome = "x-ir-home";  // id of the member that is home
}  // namespace fleet_field

/// The status of the interim answer after which a pod may see the request.
inline constexpr int kBeginsAtPod = 199;

/// What the sender says about a request. Views into its head.
struct SentOnHead {
  std::string_view namespace_name;
  std::string_view endpoint;
  std::string_view deployment;
  std::string_view to;
  Duration age{};
  Patience patience;
  std::uint64_t epoch = 0;
  std::string_view id;
  bool is_copy = false;
};

/// Reads it. `now`: the head is complete. Fails with bad_request if a field is missing, repeated or out of its range: age up to
/// a day, deadline up to 2^32 - 1 ms, id a UUID.
Result<SentOnHead> read_sent_on(const http::RequestHead& head, TimePoint now);

/// What the sender writes.
struct SentOnFields {
  std::string_view to;
  Duration age{};
  std::uint64_t epoch = 0;
  bool is_copy = false;
};
/// Adds the fields to the head of a request for the pod.
void write_sent_on(stream::RequestSink& to, const model::Route& route, const SentOnFields& fields, const Patience& patience,
                   std::string_view id, TimePoint now);

/// The interim answer 199: what `head` says, or nothing if it is another one.
struct BeginsAtPod {
  std::string_view replica;  // at most kTextMax bytes
  Duration queued{};
};
std::optional<BeginsAtPod> read_begins_at_pod(const http::ResponseHead& head);

/// The local reply of a home. Views into its head.
struct HomeReply {
  Reason reason = Reason::kInternal;
  std::string_view message;                           // needs no escaping in JSON; empty: none
  std::string_view home;                              // of a 421; empty: not known
  std::optional<std::chrono::seconds> retry_after{};  // 1 to 60
};
/// Nothing if `head` is the answer of a pod. An unknown reason is `internal`; 421 is `home_moved`.
std::optional<HomeReply> read_home_reply(const http::ResponseHead& head);

/// Texts of other routers beyond this size are cut.
inline constexpr std::size_t kTextMax = 256;

/// `text` without the bytes that would need escaping in JSON, at most kTextMax.
std::string plain_text(std::string_view text);

}  // namespace router::proxy
