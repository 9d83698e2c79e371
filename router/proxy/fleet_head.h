#pragma once

#include <array>
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

/// What two routers of a fleet say about a request that one sends on to the other (docs/decisions/0072-requests-sent-on.md).
/// They are believed on connections between routers only: requests of clients and answers of pods lose the field `x-ir` and
/// every field that begins with `x-ir-`. What is said about each request stands in one field: each line costs the home about
/// 1 % of an exchange.
namespace router::proxy {

namespace fleet_field {
/// Of a request: six words with one space between them, then the parts below, each after a tab. The words: the id of the member
/// that is meant; microseconds since the request came to the queue; milliseconds that the client has left, or `-` if it named
/// no deadline; the epoch of the sender's roster; `-`, or `copy` for a mirrored copy, which waits for no slot;
/// NAMESPACE/ENDPOINT/DEPLOYMENT (no namespace: a file). The parts: values of kAddedFields, which the home writes into the head
/// for the pod; empty: none.
/// Of the interim answer 199: two words, microseconds since it came to the queue, on all routers together; and the replica.
inline constexpr std::string_view kFacts = "x-ir";
/// Fields that a router adds to each request. The last one is always there, since a parser drops a tab at the end of a value.
inline constexpr std::array<std::string_view, 5> kAddedFields{"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Via",
                                                              "x-request-id"};
// of a local reply
inline constexpr std::string_view kReason = "x-ir-reason";
inline constexpr std::string_view kMessage = "x-ir-message";
inline constexpr std::string_view kHome = "x-ir-home";  // id of the member that is home
}  // namespace fleet_field

/// The status of the interim answer after which a pod may see the request.
inline constexpr int kBeginsAtPod = 199;

/// Texts of other routers beyond this size are cut.
inline constexpr std::size_t kTextMax = 256;

/// What the sender says about a request. Views into its head.
struct SentOnHead {
  std::string_view namespace_name;
  std::string_view endpoint;
  std::string_view deployment;
  std::string_view to;
  Duration age{};
  Patience patience;
  std::uint64_t epoch = 0;
  bool is_copy = false;
};

/// Reads it. `now`: the head is complete. Fails with bad_request if the field is missing or repeated, or has other words or
/// parts, numbers out of their range (age up to a day, deadline up to 2^32 - 1 ms), or an id that is no UUID.
Result<SentOnHead> read_sent_on(const http::RequestHead& head, TimePoint now);

/// What the sender writes.
struct SentOnFields {
  std::string_view to;
  Duration age{};
  std::uint64_t epoch = 0;
  bool is_copy = false;
};
/// Adds to the head of a request for the pod what the home needs to know. It takes the fields that this router adds: those in
/// kAddedFields become a part of the facts, all others pass. `finish` writes the facts. Throws std::bad_alloc.
class SentOnSink final : public stream::RequestSink {
 public:
  explicit SentOnSink(stream::RequestSink& to);
  void field(std::string_view name, std::string_view value) override;
  void finish(const model::Route& route, const SentOnFields& fields, const Patience& patience, TimePoint now);

  void begin_head(std::string_view method, std::string_view path, std::string_view path_rest, std::string_view query) override {
    to_.begin_head(method, path, path_rest, query);
  }
  void end_head(stream::BodySize size) override { to_.end_head(size); }
  void body_piece(std::string_view bytes) override { to_.body_piece(bytes); }
  void body_end(const http::Fields* trailers) override { to_.body_end(trailers); }

 private:
  struct Part {
    std::size_t begin = 0;
    std::size_t size = 0;
  };
  stream::RequestSink& to_;
  std::string values_;
  std::array<Part, fleet_field::kAddedFields.size()> parts_;
};
/// Writes the fields that are parts of `facts`, a value that `read_sent_on` has accepted.
void write_added_fields(stream::RequestSink& to, std::string_view facts);

/// What the interim answer 199 says.
struct BeginsAtPod {
  std::string_view replica;  // at most kTextMax bytes
  Duration queued{};
};
using BeginsAtPodText = std::array<char, kTextMax + 32>;
/// The value of its field, in `storage`.
std::string_view write_begins_at_pod(const BeginsAtPod& begins, BeginsAtPodText& storage);
/// Nothing if `head` is another one. A time that cannot be read is 0.
std::optional<BeginsAtPod> read_begins_at_pod(const http::ResponseHead& head);

/// The local reply of a home. Views into its head.
struct HomeReply {
  Reason reason = Reason::kInternal;
  std::string_view message;                           // needs no escaping in JSON; empty: none
  std::string_view home;                              // of a 421; empty: not known
  std::optional<std::chrono::seconds> retry_after{};  // 1 to 3600
};
/// Nothing if `head` is the answer of a pod. An unknown reason is `internal`; 421 is `home_moved`.
std::optional<HomeReply> read_home_reply(const http::ResponseHead& head);

/// `text` without the bytes that would need escaping in JSON, at most kTextMax.
std::string plain_text(std::string_view text);

}  // namespace router::proxy
