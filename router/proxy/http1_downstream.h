#pragma once

#include <memory>

#include "router/base/task.h"
#include "router/http1/body_size.h"
#include "router/http1/message_input.h"
#include "router/http1/message_output.h"
#include "router/proxy/downstream.h"
#include "router/proxy/idle_connections.h"
#include "router/proxy/view.h"
#include "router/runtime/wakeup.h"
#include "tls/stream.h"

namespace router::proxy {

class ShardServer;

/// The client's side of HTTP/1.1: the exchanges of one connection, one after the other (RFC 9112). It exists only while
/// requests arrive: an idle connection has none, and a new one is made for the next request.
class Http1Downstream : public Downstream {
 public:
  Http1Downstream(ShardServer& server, ListenerId listener, tls::Stream& stream, runtime::Wakeup& wakeup, const Peer& peer);
  virtual ~Http1Downstream();

  enum class Next {
    kRequest,  // its head is parsed, and its body can be read
    kNothing,  // no byte of it has arrived: arm the stream and wait
    kEnd,      // close without an answer: the client has left, or the drain's grace is over
  };
  /// Reads the head of the next request. Once its first byte has arrived, waits for its end; meanwhile the connection may lose
  /// its permit (`idle`; nullptr: it cannot). A refused head is returned as a Failure that must be answered. Suspends.
  Task<Result<Next>> next_head(IdleConnections::Entry* idle = nullptr);
  /// Sets the method of a request that is answered without being read: the answer to HEAD has no body.
  void assume_method(http::Method method) { head_->method = method; }
  /// Ends the exchange. Returns whether another one may follow.
  bool finish();
  /// Whether a part of the next request arrived together with the last one. Its bytes are kept here.
  bool has_begun() const { return input_.begun(); }
  /// Called after the last exchange: drops what the client still sends, so that it can read its answer. Suspends, 2 s at most.
  Task<void> linger();

  const http::RequestHead& head() const override { return *head_; }
  const Peer& peer() const override { return peer_; }
  stream::BodySize request_size() const override { return http1::size_of(input_.framing()); }
  Result<stream::Progress> read_body(stream::BodySink& sink) override { return input_.read_body(stream_, sink); }
  bool request_received() const override { return input_.body_ended(); }
  std::uint64_t request_bytes() const override { return input_.body_bytes(); }
  Result<Arrived> body_arrived() override;
  void keep_request() override;
  bool rewind_request() override { return input_.rewind(); }
  stream::Progress drop_request() override;

  void begin_head(int status, std::string_view reason_phrase) override;
  void field(std::string_view name, std::string_view value) override { output_.field(name, value); }
  void end_head(stream::BodySize size) override;
  bool interim(const http::ResponseHead& head) override;
  void body_piece(std::string_view bytes) override { output_.body_piece(bytes); }
  void body_end(const http::Fields* trailers) override { output_.body_end(trailers); }
  Result<void> flush() override;
  bool blocked() const override { return output_.queue().blocked(); }
  std::string_view date() override;
  bool responded() const override { return responded_; }
  std::uint64_t response_bytes() const override { return output_.body_bytes(); }
  std::uint64_t bytes_taken() const override;
  void leave(stream::Leaving how) override;

  void arm_read() override;
  void arm_write() override;
  Result<void> still_wanted() override;
  Result<void> may_take_slot() const override;
  Deadline ask_again(TimePoint now) const override;
  Result<void> within_grace() const override;

 protected:
  /// The client is another router of the fleet: no listener of clients, larger heads, cut by `leave` of the derived class.
  Http1Downstream(ShardServer& server, tls::Stream& stream, runtime::Wakeup& wakeup, const Peer& peer);
  void begin_interim(int status, std::string_view reason_phrase) { output_.interim(status, reason_phrase); }
  void end_interim() { output_.end_interim(); }
  void reset() { stream_.socket().reset(); }
  void close() { stream_.close(); }

 private:
  static constexpr ListenerId kMembers = ~ListenerId{0};  // of no listener
  static constexpr std::uint64_t kDroppedMax =
      1024 * 1024;  // bytes of a body that are dropped to reach the next request (contract, section 5)

  bool is_member() const { return listener_ == kMembers; }
  bool next_request_is_near() const;
  Failure refused(const Failure& failure);

  ShardServer& server_;
  const ListenerId listener_;
  tls::Stream& stream_;
  runtime::Wakeup& wakeup_;
  const Peer& peer_;
  http1::MessageInput input_;
  http1::MessageOutput output_;
  std::unique_ptr<http::RequestHead> head_;  // from the shard's pool
  bool watching_ = false;                    // the stream is armed to detect that the client leaves, or was and has fired
  bool responded_ = false;
  bool continued_ = false;  // 100 (Continue) was sent
  bool close_after_ = false;
  bool until_close_ = false;
};

}  // namespace router::proxy
