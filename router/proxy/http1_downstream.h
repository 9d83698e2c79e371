#pragma once

#include <memory>

#include "router/base/task.h"
#include "router/proxy/downstream.h"
#include "router/proxy/idle_connections.h"
#include "router/proxy/view.h"
#include "router/runtime/wakeup.h"
#include "router/wire/message_input.h"
#include "router/wire/message_output.h"
#include "tls/stream.h"

namespace router::proxy {

class ShardServer;

/// The client's side of HTTP/1.1: the exchanges of one connection, one after the other (RFC 9112). A connection that waits for
/// a request has none: it ends when nothing has begun, and another one is made for what comes then.
class Http1Downstream final : public Downstream {
 public:
  Http1Downstream(ShardServer& server, ListenerId listener, tls::Stream& stream, runtime::Wakeup& wakeup, const Peer& peer);
  ~Http1Downstream();

  enum class Next {
    kRequest,  // its head has been read and parsed, its body begun
    kNothing,  // not a byte of it is at hand: arm the stream and wait
    kEnd,      // close the connection without a word: the client has left, or the drain's grace is over
  };
  /// Reads the next request's head; waits for its end once it has begun, and may lose its place meanwhile (`idle`, nullptr: it
  /// cannot). A refused head is a Failure that wants an answer. Suspends.
  Task<Result<Next>> next_head(IdleConnections::Entry* idle = nullptr);
  /// Of a request that is answered unread: its method, as far as the answer depends on it (HEAD: no body).
  void assume_method(http::Method method) { head_->method = method; }
  /// The exchange is over: whether another may follow.
  bool finish();
  /// Whether a part of the next request has come along with the last one: it is kept here.
  bool has_begun() const { return input_.begun(); }
  /// After the last exchange: lets the client read what was sent although it may still be sending. Suspends, 2 s at most.
  Task<void> linger();

  const http::RequestHead& head() const override { return *head_; }
  const Peer& peer() const override { return peer_; }
  wire::BodySize request_size() const override;
  Result<wire::Progress> read_body(wire::BodySink& sink) override { return input_.read_body(stream_, sink); }
  bool request_received() const override { return input_.body_ended(); }
  std::uint64_t request_bytes() const override { return input_.body_bytes(); }
  Result<Arrived> body_arrived() override;
  void send_continue() override;
  bool owes_first_byte() const override { return continued_ && input_.body_bytes() == 0 && !input_.has_unread(); }
  void keep_request() override;
  bool rewind_request() override { return input_.rewind(); }
  wire::Progress drop_request() override;

  void begin_head(int status, std::string_view reason_phrase) override;
  void field(std::string_view name, std::string_view value) override { output_.field(name, value); }
  void end_head(wire::BodySize size) override;
  void interim(const http::ResponseHead& head) override;
  void body_piece(std::string_view bytes) override { output_.body_piece(bytes); }
  void body_end(const http::Fields* trailers) override { output_.body_end(trailers); }
  Result<void> flush() override;
  bool blocked() const override { return output_.queue().blocked(); }
  std::string_view date() override;
  bool responded() const override { return responded_; }
  std::uint64_t response_bytes() const override { return output_.body_bytes(); }
  std::uint64_t bytes_taken() const override;
  void close_after() override { close_after_ = true; }
  void reset() override;

  void arm_read() override;
  void arm_write() override;
  Result<void> still_wanted() override;
  Result<void> may_take_slot() const override;
  Deadline ask_again(TimePoint now) const override;
  Result<void> within_grace() const override;

 private:
  static constexpr std::uint64_t kDroppedMax =
      1024 * 1024;  // of a body, for the sake of the request behind it (contract, section 5)

  bool next_request_is_near() const;
  Failure refused(const Failure& failure);

  ShardServer& server_;
  const ListenerId listener_;
  tls::Stream& stream_;
  runtime::Wakeup& wakeup_;
  const Peer& peer_;
  wire::MessageInput input_;
  wire::MessageOutput output_;
  std::unique_ptr<http::RequestHead> head_;  // of the shard's pool
  bool watching_ = false;                    // for the client leaving: the stream is armed, or was and has fired
  bool responded_ = false;
  bool continued_ = false;  // 100 (Continue) was sent
  bool close_after_ = false;
  bool until_close_ = false;
};

}  // namespace router::proxy
