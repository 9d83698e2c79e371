#include "router/admin/operator_connection.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/chunk_encode.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/serializer.hpp>
#include <boost/beast/http/write.hpp>
#include <utility>

#include "router/base/text.h"
#include "router/http/date.h"

namespace router::admin {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using boost::system::error_code;

namespace {

constexpr std::chrono::seconds kLinger{1};  // time for the peer to close after our shutdown
constexpr std::size_t kWriteBytes = 16384;  // compressed pieces are collected for one write

std::string_view to_std(boost::beast::string_view text) { return {text.data(), text.size()}; }

template <class Body>
void set_head(http::response<Body>& message, const Response& response, const std::string& allow) {
  const auto date = router::http::format_date(std::chrono::system_clock::now());
  message.set(http::field::date, boost::beast::string_view(date.data(), date.size()));
  message.set(http::field::content_type, response.content_type);
  message.set(http::field::cache_control, "no-store");
  if (!allow.empty()) message.set(http::field::allow, allow);
}

}  // namespace

OperatorConnection::OperatorConnection(runtime::Shard& control, std::shared_ptr<const Served> served,
                                       std::shared_ptr<OperatorConnections> connections, int descriptor, int family)
    : Holder(std::move(connections)),
      control_(control),
      served_(std::move(served)),
      socket_(control.io().get_executor(), asio::generic::stream_protocol(family, 0), descriptor),
      buffer_(2 * served_->options.request_bytes_max) {}

void OperatorConnection::start() {
  head_end_ = control_.now() + served_->options.head_timeout;
  wait_for_request(head_end_);
}

void OperatorConnection::close() {
  const std::shared_ptr<OperatorConnection> self = shared_from_this();  // `leave` may drop the last other reference
  leave();
  wait_for(OperatorConnections::Wait::kNothing);
  error_code ignored;
  socket_.close(ignored);
}

bool OperatorConnection::has_arrived() const {
  error_code ignored;
  return socket_.available(ignored) > 0;
}

/// Reads only after the socket is readable. Until then the bytes are in the kernel, where `has_arrived` finds them.
void OperatorConnection::wait_for_request(TimePoint end) {
  wait_for(OperatorConnections::Wait::kHead);
  if (buffer_.size() > 0) return read_head();
  control_.schedule(*this, end);
  socket_.async_wait(Socket::wait_read, [self = shared_from_this()](const error_code& error) {
    if (error) return self->close();
    self->wait_for(OperatorConnections::Wait::kHead);
    self->read_head();
  });
}

void OperatorConnection::read_head() {
  const OperatorServerOptions& options = served_->options;
  parser_.emplace();
  parser_->header_limit(static_cast<std::uint32_t>(options.request_bytes_max));
  parser_->body_limit(options.request_bytes_max);
  control_.schedule(*this, std::min(std::exchange(head_end_, kNever), control_.now() + options.head_timeout));
  http::async_read_header(socket_, buffer_, *parser_, [self = shared_from_this()](const error_code& error, std::size_t) {
    error ? self->on_read(error) : self->read_body();
  });
}

void OperatorConnection::read_body() {
  wait_for(OperatorConnections::Wait::kRest);
  if (parser_->is_done()) return respond();
  control_.schedule(*this, control_.now() + served_->options.timeout);
  http::async_read(socket_, buffer_, *parser_,
                   [self = shared_from_this()](const error_code& error, std::size_t) { self->on_read(error); });
}

void OperatorConnection::on_read(const error_code& error) {
  if (!error) return respond();
  // The peer closed before its request was complete: no answer is needed. Other errors of this category are bad HTTP.
  if (error == http::error::end_of_stream || error == http::error::partial_message) return close();
  if (error.category() == http::make_error_code(http::error::bad_method).category()) return refuse(error);
  close();
}

void OperatorConnection::refuse(const error_code& error) {
  wait_for(OperatorConnections::Wait::kRest);
  if (error == http::error::body_limit) {
    return write(error_response(413, "payload_too_large", "the body is too large"), {}, false, false);
  }
  if (error == http::error::header_limit || error == http::error::buffer_overflow) {
    return write(error_response(431, "headers_too_large", "the request head is too large"), {}, false, false);
  }
  write(error_response(400, "bad_request", error.message()), {}, false, false);
}

/// Refuses what a web page may have sent through an operator's browser, judged by Host and Origin; nothing: not refused.
std::optional<Response> OperatorConnection::refuse_web_page() const {
  if (!served_->options.checks_host) return std::nullopt;
  const auto& message = parser_->get();
  const std::size_t hosts = message.count(http::field::host);
  if (hosts > 1) return error_response(400, "bad_request", "there is more than one Host field");
  const std::string_view host = to_std(message[http::field::host]);
  const bool told = hosts > 0 || message.version() == 11;  // HTTP/1.0 may omit it; no browser does
  if (told && !served_->own_host.is(host)) {
    return error_response(403, "forbidden", "Host is neither localhost, a loopback address, nor the configured address");
  }
  const std::size_t origins = message.count(http::field::origin);
  if (origins > 1 || (origins == 1 && !is_own_origin(to_std(message[http::field::origin]), host))) {
    return error_response(403, "forbidden", "not from another web page");
  }
  return std::nullopt;
}

void OperatorConnection::respond() {
  const auto& message = parser_->get();
  Request request;
  request.method = to_std(message.method_string());
  request.path = to_std(message.target());
  if (const std::size_t mark = request.path.find('?'); mark != std::string_view::npos) {
    request.query = request.path.substr(mark + 1);
    request.path = request.path.substr(0, mark);
  }
  request.body = message.body();
  std::string allow;
  std::optional<Response> refused = refuse_web_page();
  // If the host is checked, an origin that was not refused is our own.
  const bool strange = !served_->options.checks_host && message.count(http::field::origin) > 0;
  Response response = refused ? std::move(*refused) : answer(served_->routes, request, strange, allow);
  // Read after the handler has run, since that may have retired the server.
  const bool keep_alive =
      !ends_ && message.version() == 11 && message.keep_alive();  // in HTTP/1.0 it needs a field: not supported
  const bool head = message.method() == http::verb::head;
  if (response.pieces) return write_in_pieces(std::move(response), keep_alive, head);
  write(std::move(response), allow, keep_alive, head);
}

/// Sends no Content-Length, not even for a HEAD: the length is not known before the last piece is made.
void OperatorConnection::write_in_pieces(Response response, bool keep_alive, bool head) {
  if (!head && !served_->scheduler->try_enter(*this)) {
    return write(error_response(503, "too_many_scrapes",
                                absl::StrCat(served_->options.scrapes_max, " scrapes are under way: try again later")),
                 {}, keep_alive, false);
  }
  control_.schedule(*this, control_.now() + served_->options.scrape_timeout);
  const auto& request = parser_->get();
  std::string encodings;
  const auto fields = request.equal_range(http::field::accept_encoding);
  for (auto each = fields.first; each != fields.second; ++each) encodings.append(to_std(each->value())).push_back(',');
  in_pieces_ = std::make_unique<InPieces>();
  in_pieces_->source = std::move(response.pieces);
  in_pieces_->chunked = request.version() == 11;
  in_pieces_->keep_alive = keep_alive;

  struct Head {
    http::response<http::empty_body> message;
    http::response_serializer<http::empty_body> serializer{message};
  };
  const auto shared = std::make_shared<Head>();
  shared->message.result(static_cast<http::status>(response.status));
  shared->message.version(11);
  set_head(shared->message, response, {});
  shared->message.set(http::field::vary, "Accept-Encoding");
  if (accepts_gzip(encodings)) {
    shared->message.set(http::field::content_encoding, "gzip");
    if (!head) in_pieces_->gzip.emplace();
  }
  if (in_pieces_->chunked) shared->message.chunked(true);
  shared->message.keep_alive(keep_alive);
  http::async_write_header(socket_, shared->serializer,
                           [self = shared_from_this(), shared, head](const error_code& error, std::size_t) {
                             if (error || !self->socket_.is_open()) return self->close();
                             if (head) return self->on_written(error, self->in_pieces_->keep_alive);
                             self->served_->scheduler->ready(self->as_maker());
                           });
}

void OperatorConnection::make_piece() {
  InPieces& answer = *in_pieces_;
  answer.text.clear();
  answer.ended = !answer.source(answer.text);
  if (answer.gzip) {
    answer.gzip->add(answer.text, answer.ended, answer.out);
  } else {
    answer.out.swap(answer.text);
  }
  const std::size_t enough = answer.gzip ? kWriteBytes : 1;
  if (!answer.ended && answer.out.size() < enough) return served_->scheduler->ready(as_maker());
  write_piece();
}

void OperatorConnection::write_piece() {
  const auto written = [self = shared_from_this()](const error_code& error, std::size_t) { self->on_piece_written(error); };
  if (in_pieces_->out.empty()) return on_piece_written({});  // an empty chunk would end the body
  const asio::const_buffer bytes = asio::buffer(in_pieces_->out);
  if (!in_pieces_->chunked) return asio::async_write(socket_, bytes, written);
  asio::async_write(socket_, http::make_chunk(bytes), written);
}

void OperatorConnection::on_piece_written(const error_code& error) {
  if (error || !socket_.is_open()) return close();
  in_pieces_->out.clear();
  if (!in_pieces_->ended) return served_->scheduler->ready(as_maker());
  leave();
  const bool keep_alive = in_pieces_->keep_alive;
  if (!in_pieces_->chunked) return on_written(error, keep_alive);
  asio::async_write(
      socket_, http::make_chunk_last(),
      [self = shared_from_this(), keep_alive](const error_code& ended, std::size_t) { self->on_written(ended, keep_alive); });
}

void OperatorConnection::write(Response response, const std::string& allow, bool keep_alive, bool head) {
  control_.schedule(*this, control_.now() + served_->options.timeout);
  const auto send = [this](auto message, bool keep) {
    auto shared = std::make_shared<decltype(message)>(std::move(message));
    http::async_write(socket_, *shared, [self = shared_from_this(), shared, keep](const error_code& error, std::size_t) {
      self->on_written(error, keep);
    });
  };
  const auto status = static_cast<http::status>(response.status);
  if (head) {  // the length that a GET would have, and no body
    http::response<http::empty_body> message(status, 11);
    set_head(message, response, allow);
    message.content_length(response.body.size());
    message.keep_alive(keep_alive);
    return send(std::move(message), keep_alive);
  }
  http::response<http::string_body> message(status, 11);
  set_head(message, response, allow);
  message.body() = std::move(response.body);
  message.prepare_payload();
  message.keep_alive(keep_alive);
  send(std::move(message), keep_alive);
}

void OperatorConnection::on_written(const error_code& error, bool keep_alive) {
  in_pieces_.reset();
  if (error) return close();
  if (keep_alive) return wait_for_request(control_.now() + served_->options.timeout);
  error_code ignored;
  socket_.shutdown(Socket::shutdown_send, ignored);
  control_.schedule(*this, control_.now() + kLinger);
  wait_for_the_end();
}

void OperatorConnection::wait_for_the_end() {
  // Closing a socket with unread bytes resets the connection, and the peer may lose the answer. So the rest is read and
  // dropped.
  buffer_.clear();
  socket_.async_read_some(buffer_.prepare(4096), [self = shared_from_this()](const error_code& error, std::size_t) {
    error ? self->close() : self->wait_for_the_end();
  });
}

}  // namespace router::admin
