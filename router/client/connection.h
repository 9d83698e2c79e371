#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "router/base/task.h"
#include "router/client/error.h"
#include "router/http/framing.h"
#include "router/http/head.h"
#include "router/http1/message_input.h"
#include "router/http1/message_output.h"
#include "router/runtime/cancellation.h"
#include "tls/stream.h"

namespace router::client {

struct HeadLimits {
  std::size_t bytes_max = 64 * 1024;  // as for every head (contract, section 4)
  int interim_max = 99;               // 1xx responses before the final one
};

/// Whether a body that is read piece by piece is complete. Not a bool: a Result of bool could be made from another Result, by
/// whether that has a value.
enum class Body : std::uint8_t { kGoesOn, kComplete };

/// One HTTP/1.1 connection to a server, used by one exchange at a time. The request is written to `output`. Then come `send`,
/// `head`, `begin_body`, `body` until it is complete, and `rest` if the connection is to be used again. A call that suspends
/// does so until its deadline at most, or until it is cancelled. One shard.
class Connection {
 public:
  /// `context` is the TLS context of the stream. nullptr: plaintext, or the caller keeps the context alive.
  Connection(runtime::Shard& shard, tls::Stream stream, std::shared_ptr<tls::ClientContext> context = nullptr,
             HeadLimits limits = {});

  /// The body of the request is not copied: it must stay valid until the head of the response has arrived.
  http1::MessageOutput& output() { return output_; }
  Task<Outcome<void>> send(runtime::Cancellation& cancellation, Deadline deadline);
  /// The head of the final response, after any interim ones (RFC 9110, 15.2). A 101 counts as final, because no request asks
  /// for an upgrade. Valid until `rest`.
  Task<Outcome<const http::ResponseHead*>> head(runtime::Cancellation& cancellation, Deadline deadline);
  /// The same without waiting; nullptr: the head has not arrived completely.
  Outcome<const http::ResponseHead*> head_at_hand();
  /// Prepares to read the body of the response. `method` is that of the request. Fails with kInvalid.
  Outcome<void> begin_body(http::Method method);
  /// Waits for bytes of the body and appends them: at least one, unless the body is complete.
  Task<Outcome<Body>> body(runtime::Cancellation& cancellation, std::string& into, Deadline deadline);

  /// Ends the exchange; the connection becomes idle. False if it cannot be used again: the server closes it, or unexpected
  /// bytes have arrived.
  bool rest();
  /// Begins another exchange, which waits at the wakeup of `cancellation`.
  void take(runtime::Cancellation& cancellation);
  /// Whether an idle connection can be used: the server has not closed it, and no unexpected bytes have arrived.
  bool is_usable();
  bool was_used() const { return exchanges_ > 0; }
  TimePoint rests_since() const { return rests_since_; }
  /// Whether bytes of a response have arrived in this exchange.
  bool was_answered() const { return input_.begun(); }
  tls::Stream& stream() { return stream_; }

 private:
  Task<Outcome<void>> wait(runtime::Cancellation& cancellation, Deadline deadline, Stage stage);

  const std::shared_ptr<tls::ClientContext> context_;  // outlives the stream
  const HeadLimits limits_;
  tls::Stream stream_;
  http1::MessageInput input_;
  http1::MessageOutput output_;
  http::ResponseHead head_;
  int interim_ = 0;
  bool keeps_alive_ = false;
  int reads_ = 0;  // since the coroutine last waited
  int exchanges_ = 0;
  TimePoint rests_since_{};
};

}  // namespace router::client
