#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "router/base/task.h"
#include "router/client/error.h"
#include "router/http/framing.h"
#include "router/http/head.h"
#include "router/runtime/cancellation.h"
#include "router/wire/message_input.h"
#include "router/wire/message_output.h"
#include "tls/stream.h"

namespace router::client {

struct HeadLimits {
  std::size_t bytes_max = 64 * 1024;  // as for every head (contract, section 4)
  int interim_max = 99;               // answers of 1xx before the one that counts
};

/// Of a body that is read piece by piece. No bool: a Result of bool can be made of another Result, by whether that has a value.
enum class Body : std::uint8_t { kGoesOn, kComplete };

/// One HTTP/1.1 connection to a server, used by one exchange at a time: the request is gathered in `output`, then `send`,
/// `head`, `begin_body`, `body` until it is complete, and `rest` if the connection is to be used again. Whatever suspends does
/// so until its deadline at most, or until it is cancelled. One shard.
class Connection {
 public:
  /// `context` is what the stream was made of; nullptr: plaintext, or somebody else keeps it.
  Connection(runtime::Shard& shard, tls::Stream stream, std::shared_ptr<tls::ClientContext> context = nullptr,
             HeadLimits limits = {});

  /// The body of the request stays where it is until the answer's head has come.
  wire::MessageOutput& output() { return output_; }
  Task<Outcome<void>> send(runtime::Cancellation& cancellation, Deadline deadline);
  /// The head of the answer, behind any interim ones (RFC 9110, 15.2; 101 is none, as nobody asked for it). Valid until `rest`.
  Task<Outcome<const http::ResponseHead*>> head(runtime::Cancellation& cancellation, Deadline deadline);
  /// The same of what has arrived; nullptr: not yet.
  Outcome<const http::ResponseHead*> head_at_hand();
  /// The head was that of an answer to a request of this method: its body follows.
  Outcome<void> begin_body(http::Method method);
  /// Appends body bytes as they arrive, at least one unless the body is complete.
  Task<Outcome<Body>> body(runtime::Cancellation& cancellation, std::string& into, Deadline deadline);

  /// The exchange is over. False if the connection cannot serve another one: the server ends it, or bytes came that nobody
  /// asked for.
  bool rest();
  /// Another exchange begins, which waits there.
  void take(runtime::Cancellation& cancellation);
  /// Resting, and nothing has arrived that nobody asked for, such as the server's end.
  bool is_usable();
  bool was_used() const { return exchanges_ > 0; }
  TimePoint rests_since() const { return rests_since_; }
  /// Whether bytes of an answer have arrived in this exchange.
  bool was_answered() const { return input_.begun(); }
  tls::Stream& stream() { return stream_; }

 private:
  Task<Outcome<void>> wait(runtime::Cancellation& cancellation, Deadline deadline, Stage stage);

  const std::shared_ptr<tls::ClientContext> context_;  // outlives the stream
  const HeadLimits limits_;
  tls::Stream stream_;
  wire::MessageInput input_;
  wire::MessageOutput output_;
  http::ResponseHead head_;
  int interim_ = 0;
  bool keeps_alive_ = false;
  int reads_ = 0;  // without a pause for others
  int exchanges_ = 0;
  TimePoint rests_since_{};
};

}  // namespace router::client
