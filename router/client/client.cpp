#include "router/client/client.h"

#include <absl/strings/str_cat.h>

#include <algorithm>

#include "router/base/host_port.h"
#include "router/http1/body_size.h"

namespace router::client {
namespace {

using runtime::Cancellation;

http::Method method_of(const std::string& method) {
  if (method == "HEAD") return http::Method::kHead;
  return method == "GET" ? http::Method::kGet : http::Method::kOther;
}

Error too_large(std::size_t bytes_max) {
  return {Stage::kBody, ErrorKind::kTooLarge, "", 0, absl::StrCat(bytes_max, " bytes")};
}

/// Sends the request in the connection's output and waits for the head of the response. After that the body can be read.
Task<Outcome<const http::ResponseHead*>> exchange_heads(Connection& connection, Cancellation& cancellation, http::Method method,
                                                        Deadline deadline) {
  const Outcome<void> sent = co_await connection.send(cancellation, deadline);
  if (!sent) co_return sent.error();
  const Outcome<const http::ResponseHead*> head = co_await connection.head(cancellation, deadline);
  if (!head) co_return head;
  const Outcome<void> body = connection.begin_body(method);
  if (!body) co_return body.error();
  co_return head;
}

}  // namespace

Task<Outcome<Body>> Exchange::read(Cancellation& cancellation, std::string& into, Deadline deadline) {
  if (connection_ == nullptr) co_return Body::kComplete;
  const Outcome<Body> body = co_await connection_->body(cancellation, into, deadline);
  if (body && *body == Body::kGoesOn) co_return body;
  std::unique_ptr<Connection> ended = std::move(connection_);
  if (body) client_.give_back(std::move(ended));
  co_return body;
}

Task<Outcome<void>> Exchange::read_all(Cancellation& cancellation, std::string& into, std::size_t bytes_max,
                                       Deadline deadline) {
  for (;;) {
    const Outcome<Body> body = co_await read(cancellation, into, deadline);
    if (!body) co_return body.error();
    if (*body == Body::kComplete) co_return boost::system::in_place_value;
    if (into.size() > bytes_max) {
      connection_.reset();
      co_return too_large(bytes_max);
    }
  }
}

Client::Client(runtime::Shard& control, runtime::Resolver& resolver, ClientOptions options)
    : shard_(control),
      resolver_(resolver),
      options_(std::move(options)),
      authority_(join_host_port(options_.host, options_.port)) {}

Task<Outcome<std::unique_ptr<Connection>>> Client::connect(Cancellation& cancellation, Deadline deadline) {
  Outcome<std::vector<runtime::Address>> found =
      co_await look_up(cancellation, resolver_, options_.host, options_.port, deadline);
  if (!found) co_return found.error();
  addresses_ = *found;
  std::shared_ptr<tls::ClientContext> context = options_.tls ? options_.tls() : nullptr;
  const Security security = context != nullptr ? Security(*context, options_.server_name) : Security();
  Outcome<tls::Stream> stream = co_await client::connect(cancellation, std::move(*found), security, options_.connect, deadline);
  if (!stream) co_return stream.error();
  co_return std::make_unique<Connection>(shard_, std::move(*stream), std::move(context));
}

std::unique_ptr<Connection> Client::take_resting(Cancellation& cancellation) {
  while (!resting_.empty()) {
    std::unique_ptr<Connection> connection = std::move(resting_.back());
    resting_.pop_back();
    if (shard_.now() - connection->rests_since() > options_.rest_max || !connection->is_usable()) continue;
    connection->take(cancellation);
    return connection;
  }
  return nullptr;
}

void Client::give_back(std::unique_ptr<Connection> connection) {
  if (connection->rest() && resting_.size() < options_.resting_max) resting_.push_back(std::move(connection));
}

void Client::write(const Request& request, http1::MessageOutput& output) const {
  output.begin_request(request.method, request.target, "", "");
  output.field("Host", authority_);
  for (const auto& [name, value] : request.fields) output.field(name, value);
  stream::BodySize size;
  if (!request.body.empty()) size = {stream::BodySize::Kind::kLength, request.body.size()};
  output.end_head(http1::framing_of(size));
  if (request.body.empty()) return;
  output.body_piece(request.body);
  output.body_end(nullptr);
}

Task<Outcome<std::unique_ptr<Exchange>>> Client::open(Cancellation& cancellation, Request request) {
  for (;;) {
    if (cancellation.cancelled()) co_return Error{Stage::kOpen, ErrorKind::kCancelled, "", 0, {}};
    std::unique_ptr<Connection> connection = take_resting(cancellation);
    if (connection == nullptr) {
      const Deadline connected = std::min(request.deadline, deadline_after(shard_.now(), options_.connect_max));
      Outcome<std::unique_ptr<Connection>> fresh = co_await connect(cancellation, connected);
      if (!fresh) co_return fresh.error();
      connection = std::move(*fresh);
    }
    const Deadline deadline = std::min(request.deadline, deadline_after(shard_.now(), options_.head_wait));
    write(request, connection->output());
    const Outcome<const http::ResponseHead*> head =
        co_await exchange_heads(*connection, cancellation, method_of(request.method), deadline);
    if (head) co_return std::make_unique<Exchange>(*this, std::move(connection), **head);
    const bool broken = head.error().kind == ErrorKind::kFailed;
    const bool ended_meanwhile = broken && connection->was_used() && !connection->was_answered();
    if (!ended_meanwhile || request.method != "GET") co_return head.error();
  }
}

}  // namespace router::client
