#pragma once

#include <absl/status/statusor.h>

#include <memory>
#include <string>

#include "router/base/task.h"
#include "router/http/framing.h"
#include "router/runtime/address.h"
#include "router/runtime/cancellation.h"
#include "router/wire/message_input.h"
#include "router/wire/message_output.h"
#include "tls/stream.h"

namespace router::kubernetes {

/// What of an answer's head is of use.
struct ApiHead {
  int status = 0;
  std::optional<std::chrono::seconds> retry_after;  // only as a number
  bool keeps_alive = false;
};

/// One HTTP/1.1 connection to an API server, used by one exchange at a time. Failures are told in words that follow the name of
/// the server: kUnavailable (broken, refused), kDeadlineExceeded, kCancelled (it was cancelled), kDataLoss (no HTTP).
/// Control thread.
class ApiConnection {
 public:
  /// Connects, with keepalive and a limit for unacknowledged bytes, so that a peer that vanished is noticed within
  /// kVanishedAfter also while nothing is sent. `tls` nullptr: plaintext.
  static Task<absl::StatusOr<std::unique_ptr<ApiConnection>>> open(runtime::Cancellation& cancellation,
                                                                   runtime::Address address,
                                                                   std::shared_ptr<tls::ClientContext> tls,
                                                                   std::string server_name, Deadline deadline);
  static constexpr std::chrono::seconds kVanishedAfter{30};
  static constexpr std::size_t kHeadMax = 64 * 1024;

  ApiConnection(runtime::Shard& control, std::shared_ptr<tls::ClientContext> tls, tls::Stream stream);

  /// The request is gathered here; its body stays where it is until the answer's head has come.
  wire::MessageOutput& output() { return output_; }
  /// Sends it, and waits for the answer's head.
  Task<absl::StatusOr<ApiHead>> exchange_heads(runtime::Cancellation& cancellation, http::Method method, Deadline deadline);
  /// Appends body bytes as they arrive, at least one: true; false: the body is complete.
  Task<absl::StatusOr<bool>> body(runtime::Cancellation& cancellation, std::string& into, Deadline deadline);

  /// The exchange is over. False if the connection cannot serve another one: bytes came that nobody asked for.
  bool rest();
  void take(runtime::Cancellation& cancellation);
  /// Resting, and nothing has arrived that nobody asked for, such as the server's end.
  bool is_usable();
  bool was_used() const { return exchanges_ > 0; }
  TimePoint rests_since() const { return rests_since_; }
  /// Whether bytes of an answer have arrived in this exchange.
  bool was_answered() const { return input_.begun(); }

 private:
  Task<absl::Status> send(runtime::Cancellation& cancellation, Deadline deadline);
  Task<absl::Status> wait(runtime::Cancellation& cancellation, Deadline deadline, const char* what);

  const std::shared_ptr<tls::ClientContext> tls_;  // outlives the stream
  tls::Stream stream_;
  wire::MessageInput input_;
  wire::MessageOutput output_;
  int reads_ = 0;  // without a pause for others
  int exchanges_ = 0;
  TimePoint rests_since_{};
};

}  // namespace router::kubernetes
