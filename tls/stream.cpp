#include "tls/stream.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>

#include "tls/context.h"

namespace router::tls {

using runtime::IoResult;
using runtime::IoState;
using runtime::Socket;

namespace {

constexpr std::size_t kRecord = 16 * 1024;
constexpr std::size_t kTurnMax =
    256 * 1024;  // plaintext taken or given in one call: a flood of records must not hold the shard

/// Ciphertext of this thread on its way to or from the kernel, one connection at a time.
struct Wire {
  std::string out;  // collected by the BIO within one call, then sent at once
};
thread_local Wire wire;

const char* cause_of_error() {
  const unsigned long error = ERR_peek_error();
  if (error == 0) return "the TLS connection broke";
  switch (ERR_GET_REASON(error)) {
    case SSL_R_CERTIFICATE_VERIFY_FAILED: return "the peer's certificate could not be verified";
    case SSL_R_WRONG_VERSION_NUMBER: return "the peer does not speak TLS";
    case SSL_R_UNSUPPORTED_PROTOCOL: return "the peer's TLS version is not supported";
    case SSL_R_NO_SHARED_CIPHER: return "no cipher in common with the peer";
    case SSL_R_UNEXPECTED_EOF_WHILE_READING: return "the peer closed without close_notify";
    default: return "the TLS connection failed";
  }
}

}  // namespace

/// The SSL object and the ciphertext that the kernel has not taken yet. OpenSSL reads straight from the socket; what it writes
/// is collected, so that a call that makes many records makes one system call.
struct Stream::Session {
  ~Session() { SSL_free(ssl); }

  SSL* ssl = nullptr;
  int descriptor = -1;
  std::string unsent;    // ciphertext; only while the peer does not take it
  int read_error = 0;    // errno of the BIO's last failure
  bool drained = false;  // the kernel had nothing more
  bool ended = false;    // the peer sent FIN
  bool shaken = false;
  bool wants_write = false;  // the last blocked read or handshake waits for the socket to take something

  static Session* of(BIO* bio) { return static_cast<Session*>(BIO_get_data(bio)); }

  static int bio_read(BIO* bio, char* into, int size) {
    Session* session = of(bio);
    BIO_clear_retry_flags(bio);
    if (session->drained) {  // a short read a moment ago: asking again would cost a system call to hear the same
      BIO_set_retry_read(bio);
      return -1;
    }
    ssize_t got;
    do {
      got = ::recv(session->descriptor, into, static_cast<std::size_t>(size), 0);
    } while (got < 0 && errno == EINTR);
    if (got > 0) {
      session->drained = got < size;
      return static_cast<int>(got);
    }
    if (got == 0) {
      session->ended = true;
      return 0;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
      session->drained = true;
      BIO_set_retry_read(bio);
    } else {
      session->read_error = errno;
    }
    return -1;
  }

  static int bio_write(BIO*, const char* from, int size) {
    wire.out.append(from, static_cast<std::size_t>(size));
    return size;
  }

  static long bio_control(BIO* bio, int command, long, void*) {
    if (command == BIO_CTRL_EOF) return of(bio)->ended ? 1 : 0;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
  }

  static BIO_METHOD* method() {
    static BIO_METHOD* const made = [] {
      BIO_METHOD* bio = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket");
      BIO_meth_set_read(bio, bio_read);
      BIO_meth_set_write(bio, bio_write);
      BIO_meth_set_ctrl(bio, bio_control);
      return bio;
    }();
    return made;
  }

  void attach(SSL_CTX* context, int to) {
    descriptor = to;
    ssl = SSL_new(context);
    BIO* bio = BIO_new(method());
    BIO_set_data(bio, this);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl, bio, bio);
  }

  void begin_call() {
    ERR_clear_error();
    wire.out.clear();
    read_error = 0;
  }

  /// Sends what the last call produced; what the kernel does not take is kept. kDone, kBlocked or kFailed.
  IoResult send(const Socket& socket) {
    if (wire.out.empty() && unsent.empty()) return {IoState::kDone};
    if (!unsent.empty()) {
      unsent.append(wire.out);
      wire.out.clear();
    }
    const std::string& all = unsent.empty() ? wire.out : unsent;
    const IoResult sent = socket.write(std::string_view(all));
    if (sent.state == IoState::kDone) {
      std::string().swap(unsent);
    } else if (sent.state == IoState::kBlocked) {
      unsent = all.substr(sent.bytes);
    }
    if (wire.out.capacity() > 2 * kTurnMax) std::string().swap(wire.out);
    wire.out.clear();
    return {sent.state, 0, sent.system_error, sent.cause};
  }

  /// What an SSL call that moved nothing means.
  IoResult failure(int returned) {
    switch (SSL_get_error(ssl, returned)) {
      case SSL_ERROR_WANT_READ:
      case SSL_ERROR_WANT_WRITE: return {IoState::kBlocked};
      case SSL_ERROR_ZERO_RETURN: return {IoState::kEof};
      default: break;
    }
    if (ended && shaken) {
      ERR_clear_error();
      return {IoState::kEof};  // FIN without close_notify: the framing of HTTP tells whether something is missing
    }
    const IoResult failed{IoState::kFailed, 0, read_error, cause_of_error()};
    ERR_clear_error();
    return failed;
  }
};

Stream::Stream() = default;
Stream::Stream(Socket socket) : socket_(std::move(socket)) {}

Stream::Stream(Socket socket, ServerContext& context) : socket_(std::move(socket)), session_(std::make_unique<Session>()) {
  session_->attach(context.get(), socket_.descriptor());
  SSL_set_accept_state(session_->ssl);
}

Stream::Stream(Socket socket, ClientContext& context, const std::string& server_name)
    : socket_(std::move(socket)), session_(std::make_unique<Session>()) {
  session_->attach(context.get(), socket_.descriptor());
  SSL* ssl = session_->ssl;
  unsigned char address[16];
  const bool is_ip =
      ::inet_pton(AF_INET, server_name.c_str(), address) == 1 || ::inet_pton(AF_INET6, server_name.c_str(), address) == 1;
  if (is_ip) {
    X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), server_name.c_str());
  } else {
    SSL_set_tlsext_host_name(ssl, server_name.c_str());
    SSL_set1_host(ssl, server_name.c_str());
  }
  SSL_set_connect_state(ssl);
}

Stream::Stream(Stream&&) noexcept = default;
Stream& Stream::operator=(Stream&&) noexcept = default;
Stream::~Stream() = default;

IoResult Stream::handshake() {
  if (!session_ || session_->shaken) return {IoState::kDone};
  session_->begin_call();
  session_->drained = false;
  const int returned = SSL_do_handshake(session_->ssl);
  const IoResult outcome = returned == 1 ? IoResult{IoState::kDone} : session_->failure(returned);
  const IoResult sent = session_->send(socket_);  // an alert, too, should reach the peer
  if (outcome.state == IoState::kFailed || outcome.state == IoState::kEof)
    return {IoState::kFailed, 0, outcome.system_error, outcome.cause};
  if (sent.state == IoState::kFailed) return sent;
  session_->wants_write = sent.state == IoState::kBlocked;
  if (outcome.state == IoState::kDone) session_->shaken = true;
  return outcome;
}

IoResult Stream::read(std::span<char> into) {
  if (!session_) return socket_.read(into);
  if (into.size() > kTurnMax) into = into.first(kTurnMax);
  session_->begin_call();
  session_->drained = false;
  std::size_t filled = 0;
  IoResult outcome{IoState::kDone};
  while (filled < into.size()) {
    const int got = SSL_read(session_->ssl, into.data() + filled, static_cast<int>(into.size() - filled));
    if (got <= 0) {
      outcome = session_->failure(got);
      break;
    }
    filled += static_cast<std::size_t>(got);
  }
  const IoResult sent = session_->send(socket_);  // a key update may have asked for an answer
  session_->wants_write = sent.state == IoState::kBlocked;
  if (filled == 0) return outcome;
  // An end or a failure behind the bytes shows again at the next call.
  return {outcome.state == IoState::kBlocked ? IoState::kDrained : IoState::kDone, filled};
}

IoResult Stream::write(std::span<const iovec> pieces) {
  if (!session_) return socket_.write(pieces);
  session_->begin_call();
  if (!session_->unsent.empty()) {
    const IoResult sent = session_->send(socket_);
    if (sent.state != IoState::kDone) return sent;
  }
  // Small pieces share a record; what fills records by itself is passed as it is.
  thread_local std::string joined;
  std::size_t taken = 0;
  const auto encrypt = [this, &taken](const char* from, std::size_t size) {
    while (size > 0) {
      const int wrote = SSL_write(session_->ssl, from, static_cast<int>(size));
      if (wrote <= 0) return false;
      from += wrote;
      size -= static_cast<std::size_t>(wrote);
      taken += static_cast<std::size_t>(wrote);
    }
    return true;
  };
  joined.clear();
  bool fine = true;
  for (const iovec& piece : pieces) {
    const char* from = static_cast<const char*>(piece.iov_base);
    std::size_t size = piece.iov_len;
    while (fine && size > 0) {
      if (joined.empty() && size >= kRecord) {
        const std::size_t whole = size / kRecord * kRecord;
        fine = encrypt(from, whole);
        from += whole;
        size -= whole;
        continue;
      }
      const std::size_t part = std::min(size, kRecord - joined.size());
      joined.append(from, part);
      from += part;
      size -= part;
      if (joined.size() < kRecord) continue;
      fine = encrypt(joined.data(), joined.size());
      joined.clear();
    }
  }
  if (fine && !joined.empty()) fine = encrypt(joined.data(), joined.size());
  if (!fine) {
    const IoResult failed = session_->failure(-1);
    return {IoState::kFailed, taken, failed.system_error, failed.cause};
  }
  const IoResult sent = session_->send(socket_);
  return {sent.state, sent.state == IoState::kFailed ? 0 : taken, sent.system_error, sent.cause};
}

void Stream::arm_read() {
  if (session_ && session_->wants_write) socket_.arm_write();
  // A record that has arrived in part waits for the socket; one that is complete inside would wait for ever.
  const bool at_hand =
      session_ && (SSL_pending(session_->ssl) > 0 || (!session_->drained && SSL_has_pending(session_->ssl) != 0));
  if (at_hand) return socket_.wake_soon();
  socket_.arm_read();
}

void Stream::arm_write() { socket_.arm_write(); }

void Stream::shutdown_write() {
  if (!is_open()) return;
  if (session_ && session_->shaken) {
    session_->begin_call();
    SSL_shutdown(session_->ssl);
    session_->send(socket_);
    ERR_clear_error();
  }
  socket_.shutdown_write();
}

void Stream::close() { socket_.close(); }

bool Stream::resumed() const { return session_ && SSL_session_reused(session_->ssl) == 1; }
const char* Stream::protocol() const { return session_ ? SSL_get_version(session_->ssl) : ""; }

std::string_view Stream::alpn() const {
  const unsigned char* chosen = nullptr;
  unsigned size = 0;
  if (session_) SSL_get0_alpn_selected(session_->ssl, &chosen, &size);
  return {reinterpret_cast<const char*>(chosen), size};
}

}  // namespace router::tls
