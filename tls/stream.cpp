#include "tls/stream.h"

#include <arpa/inet.h>
#include <sys/uio.h>

#include "tls/context.h"
#include "tls/psk.h"
#include "tls/session.h"

namespace router::tls {

using runtime::IoResult;
using runtime::IoState;
using runtime::Socket;

namespace {

bool is_ip_address(const std::string& name) {
  in6_addr address;
  return ::inet_pton(AF_INET, name.c_str(), &address) == 1 || ::inet_pton(AF_INET6, name.c_str(), &address) == 1;
}

/// Sets the name in SNI (names only: RFC 6066, section 3, allows no addresses) and the name that the certificate must have.
/// False if the certificate could not be checked against `name`.
bool expect_peer(SSL* ssl, std::string name) {
  X509_VERIFY_PARAM* checks = SSL_get0_param(ssl);
  if (is_ip_address(name)) return X509_VERIFY_PARAM_set1_ip_asc(checks, name.c_str()) == 1;
  if (name.ends_with('.')) name.pop_back();  // an absolute DNS name; names in certificates have no final dot
  if (name.empty()) return false;            // OpenSSL would take an empty name for "any name"
  X509_VERIFY_PARAM_set_hostflags(checks, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  return SSL_set_tlsext_host_name(ssl, name.c_str()) == 1 && SSL_set1_host(ssl, name.c_str()) == 1;
}

}  // namespace

Stream::Stream() = default;
Stream::Stream(Stream&&) noexcept = default;
Stream& Stream::operator=(Stream&&) noexcept = default;
Stream::~Stream() = default;

Stream::Stream(Socket socket) : socket_(std::move(socket)) {}

Stream::Stream(Socket socket, ServerContext& context)
    : socket_(std::move(socket)), session_(std::make_unique<Session>(context.get(), Session::Side::kServer)) {}

Stream::Stream(Socket socket, ClientContext& context, const std::string& server_name)
    : socket_(std::move(socket)), session_(std::make_unique<Session>(context.get(), Session::Side::kClient)) {
  const bool verifies = SSL_get_verify_mode(session_->ssl()) != SSL_VERIFY_NONE;
  if (!expect_peer(session_->ssl(), server_name) && verifies) session_->refuse("no name to check the peer's certificate for");
}

Stream::Stream(Socket socket, const PskServerContext& context)
    : socket_(std::move(socket)), session_(std::make_unique<Session>(context.get(), Session::Side::kServer)) {}

Stream::Stream(Socket socket, const PskClientContext& context)
    : socket_(std::move(socket)), session_(std::make_unique<Session>(context.get(), Session::Side::kClient)) {}

IoResult Stream::handshake() { return session_ ? session_->handshake(socket_) : IoResult{IoState::kDone}; }

bool Stream::has_heard_nothing() const { return session_ && session_->has_heard_nothing(); }
bool Stream::has_heard_http() const { return session_ && session_->has_heard_http(); }
bool Stream::has_heard_http_head() const { return session_ && session_->has_heard_http_head(); }

IoResult Stream::read(std::span<char> into) {
  // Armed and not woken yet: nothing has arrived, so no system call is needed.
  if (socket_.read_armed()) return {IoState::kBlocked};
  return session_ ? session_->read(socket_, into) : socket_.read(into);
}

IoResult Stream::write(std::span<const iovec> pieces) {
  return session_ ? session_->write(socket_, pieces) : socket_.write(pieces);
}

void Stream::arm_read() {
  if (!is_open()) return;
  if (session_) {
    // The peer may wait for bytes of ours before it sends more: the end of a handshake, the answer to a key update.
    if (session_->flush(socket_).state == IoState::kBlocked) socket_.arm_write();
    if (session_->has_input()) return socket_.wake_soon();
  }
  socket_.arm_read();
}

void Stream::arm_write() {
  if (is_open()) socket_.arm_write();
}

void Stream::shutdown_write() {
  if (!is_open()) return;
  if (session_) session_->send_close_notify(socket_);
  socket_.shutdown_write();
}

void Stream::close() {
  socket_.close();
  if (session_) session_->refuse("the connection was closed");
}

bool Stream::resumed() const { return session_ && session_->ssl() && SSL_session_reused(session_->ssl()) == 1; }
const char* Stream::protocol() const { return session_ && session_->ssl() ? SSL_get_version(session_->ssl()) : ""; }

std::string_view Stream::alpn() const {
  const unsigned char* chosen = nullptr;
  unsigned size = 0;
  if (session_ && session_->ssl()) SSL_get0_alpn_selected(session_->ssl(), &chosen, &size);
  return {reinterpret_cast<const char*>(chosen), size};
}

}  // namespace router::tls
