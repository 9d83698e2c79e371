#include "tls/session.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <exception>
#include <new>
#include <string_view>
#include <utility>

#include "router/base/assert.h"
#include "tls/cause.h"
#include "tls/settings.h"

namespace router::tls {

using runtime::IoResult;
using runtime::IoState;
using runtime::Socket;

namespace {

constexpr std::size_t kRecord = SSL3_RT_MAX_PLAIN_LENGTH;

/// The ciphertext of the current call. Empty between calls: the destructor of Call ensures that. The thread keeps its memory:
/// at most about twice kTurnBytes.
thread_local std::string outgoing;
/// Small pieces that are collected into one record; at most one record, valid within one call.
thread_local std::string gathered;

/// Whether a message is a HelloRetryRequest: a ServerHello with a fixed random value (RFC 8446, section 4.1.3).
bool is_retry_request(std::string_view message) {
  constexpr std::string_view kRandom =
      "\xCF\x21\xAD\x74\xE5\x9A\x61\x11\xBE\x1D\x8C\x02\x1E\x65\xB8\x91"
      "\xC2\xA2\x11\x16\x7A\xBB\x8C\x5E\x07\x9E\x09\xE2\xC8\xA8\x33\x9C";
  constexpr std::size_t kAt = SSL3_HM_HEADER_LENGTH + 2;  // after the version
  return message.size() >= kAt + kRandom.size() && message[0] == SSL3_MT_SERVER_HELLO &&
         message.substr(kAt, kRandom.size()) == kRandom;
}

}  // namespace

// --- between OpenSSL and the kernel ------------------------------------------------------------------------------------------

int Stream::Session::bio_read(BIO* bio, char* into, int size) noexcept {
  auto& session = *static_cast<Session*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  if (session.messages_ > kMessagesMax) return -1;  // otherwise OpenSSL would process all that the peer sends within one call
  const std::span<char> room(into, static_cast<std::size_t>(size));
  if (session.hello_ != Hello::kOver) {
    const IoResult got = session.read_hello(room);
    if (got.moved()) return static_cast<int>(got.bytes);
    if (session.hello_ != Hello::kOver) return no_input(bio, got);
  }
  if (session.drained_) return no_input(bio, {IoState::kBlocked});
  const IoResult got = session.socket_->read(room);
  // After a short read another system call would only return that nothing is there.
  session.drained_ = got.state != IoState::kDone;
  return got.moved() ? static_cast<int>(got.bytes) : no_input(bio, got);
}

int Stream::Session::no_input(BIO* bio, const IoResult& got) noexcept {
  auto& session = *static_cast<Session*>(BIO_get_data(bio));
  if (got.state == IoState::kEof) {
    session.peer_ended_ = true;
    return 0;
  }
  if (got.state == IoState::kFailed) {
    session.read_error_ = got.system_error;
    return -1;
  }
  session.starved_ = true;
  BIO_set_retry_read(bio);
  return -1;
}

int Stream::Session::bio_write(BIO* bio, const char* from, int size) noexcept {
  auto& session = *static_cast<Session*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  if (session.lost_) return -1;
  try {
    outgoing.append(from, static_cast<std::size_t>(size));
  } catch (const std::exception&) {
    session.lose();
    return -1;
  }
  return size;
}

long Stream::Session::bio_control(BIO* bio, int command, long, void*) noexcept {
  if (command == BIO_CTRL_EOF) return static_cast<Session*>(BIO_get_data(bio))->peer_ended_ ? 1 : 0;
  return command == BIO_CTRL_FLUSH ? 1 : 0;
}

/// Counts messages that a peer may send without end and at little cost of its own (each key update costs us some 10
/// microseconds), and follows the handshake of a server.
void Stream::Session::on_message(int is_ours, int, int content_type, const void* bytes, std::size_t size, SSL* ssl,
                                 void* self) noexcept {
  auto& session = *static_cast<Session*>(self);
  if (content_type != SSL3_RT_HANDSHAKE) return;
  const std::string_view message(static_cast<const char*>(bytes), size);
  if (is_ours != 0) {
    if (session.shaken_ || !is_retry_request(message)) return;
    session.hello_ = Hello::kAwaited;
    session.hello_buffer_.expect_another();
  } else if (session.shaken_) {
    ++session.messages_;
  } else if (SSL_is_server(ssl) == 1 && !message.empty() && message.front() != SSL3_MT_CLIENT_HELLO) {
    // The client answers our messages: from now on use the full read buffer. OpenSSL 3.2 and later read this size only before a
    // change of keys.
    SSL_set_default_read_buffer_len(ssl, kReadBuffer);
  }
}

BIO_METHOD* Stream::Session::bio_method() {
  static BIO_METHOD* const method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "router socket");
    if (made == nullptr) throw std::bad_alloc();
    BIO_meth_set_read(made, bio_read);
    BIO_meth_set_write(made, bio_write);
    BIO_meth_set_ctrl(made, bio_control);
    return made;
  }();
  return method;
}

Stream::Session::Session(SSL_CTX* context, Side side) : context_(context) {
  if (side == Side::kServer) {
    hello_ = Hello::kAwaited;
  } else {
    make_ssl(Side::kClient);
  }
}

void Stream::Session::make_ssl(Side side) {
  Owned<SSL> made(SSL_new(context_));
  BIO* bio = made ? BIO_new(bio_method()) : nullptr;
  if (bio == nullptr) throw std::bad_alloc();
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  SSL_set_bio(made.get(), bio, bio);
  SSL_set_msg_callback(made.get(), on_message);
  SSL_set_msg_callback_arg(made.get(), this);
  if (side == Side::kServer) {
    SSL_set_accept_state(made.get());
    SSL_set_default_read_buffer_len(made.get(), 0);  // room for one record, until the client answers: see `on_message`
  } else {
    SSL_set_connect_state(made.get());
  }
  ssl_ = std::move(made);
}

/// One call of the stream's user. However the call ends, also by an exception, no ciphertext of this session stays in the
/// thread's buffer: the next session's call would send it.
class Stream::Session::Call {
 public:
  Call(Session& session, const Socket& socket) : session_(session) {
    ROUTER_ASSERT(outgoing.empty());
    session_.socket_ = &socket;
    session_.drained_ = false;
    session_.read_error_ = 0;
    forget_errors();
  }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;
  ~Call() {
    if (!outgoing.empty()) session_.lose();
    session_.socket_ = nullptr;
  }

 private:
  Session& session_;
};

void Stream::Session::lose() noexcept {
  outgoing.clear();
  refuse("memory is short: encrypted bytes were lost");
  lost_ = true;
}

IoResult Stream::Session::flush(const Socket& socket) noexcept {
  if (lost_) return *end_;
  if (outgoing.empty() && unsent_.empty()) return {IoState::kDone};
  if (!unsent_.empty()) {
    try {
      unsent_.append(outgoing);
    } catch (const std::exception&) {
      lose();
      return *end_;
    }
  }
  std::string& all = unsent_.empty() ? outgoing : unsent_;
  IoResult sent = socket.write(std::string_view(all));
  if (sent.state == IoState::kBlocked) {
    keep_unsent(all, sent.bytes);
  } else {
    std::string().swap(unsent_);
  }
  outgoing.clear();
  sent.bytes = 0;  // the size of the ciphertext is of no use to the caller
  return sent;
}

/// Keeps what the kernel has not taken in a string of that size. If there is no memory for it, keeps the present string.
void Stream::Session::keep_unsent(std::string& ciphertext, std::size_t sent) noexcept {
  try {
    std::string rest(ciphertext, sent);
    unsent_.swap(rest);
  } catch (const std::exception&) {
    ciphertext.erase(0, sent);
    if (&ciphertext != &unsent_) unsent_.swap(ciphertext);
  }
}

bool Stream::Session::wants_more(int returned) {
  if (end_) {  // known already: ciphertext was lost, or the hello was refused
    forget_errors();
    return false;
  }
  const int error = SSL_get_error(ssl_.get(), returned);
  if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return true;
  if (error == SSL_ERROR_ZERO_RETURN) {
    end_ = IoResult{IoState::kEof};
  } else if (read_error_ != 0) {
    end_ = IoResult{IoState::kFailed, 0, read_error_, "reading failed"};
  } else {
    end_ = IoResult{IoState::kFailed, 0, 0, cause_of_failure(ssl_.get(), shaken_)};
  }
  forget_errors();
  return false;
}

// --- calls of the stream's user ---------------------------------------------------------------------------------------------

/// Reads small pieces: bytes behind a hello are rare, and they belong to OpenSSL.
IoResult Stream::Session::hear() noexcept {
  std::array<char, 4096> piece;
  for (HelloBuffer::State state = hello_buffer_.state();;) {
    if (state == HelloBuffer::State::kWhole) {
      hello_ = Hello::kWhole;
      return {IoState::kDone};
    }
    if (state == HelloBuffer::State::kRefused) {
      refuse_hello();
      return *end_;
    }
    if (drained_) return {IoState::kBlocked};
    const IoResult got = socket_->read(piece);
    drained_ = got.state != IoState::kDone;
    if (!got.moved()) return got;
    try {
      state = hello_buffer_.append(std::span(piece).first(got.bytes));
    } catch (const std::exception&) {
      refuse("memory is short: no room for the ClientHello");
      return *end_;
    }
  }
}

/// The alert is not encrypted, because nothing is yet. A client that speaks HTTP would not understand it: the stream's user
/// sends it a response.
void Stream::Session::refuse_hello() noexcept {
  if (hello_buffer_.is_http()) return refuse(hello_buffer_.cause());
  const std::array<char, 7> alert{SSL3_RT_ALERT, 3, 3, 0, 2, SSL3_AL_FATAL, static_cast<char>(hello_buffer_.alert())};
  try {
    outgoing.append(alert.data(), alert.size());
  } catch (const std::exception&) {
    return lose();
  }
  refuse(hello_buffer_.cause());
}

/// Gives OpenSSL each hello, which it answers before it reads more, and at last the bytes behind them. If nothing was moved and
/// `hello_` is kOver, OpenSSL reads from the socket next.
IoResult Stream::Session::read_hello(std::span<char> into) noexcept {
  if (hello_ == Hello::kWhole) {
    if (const std::size_t size = hello_buffer_.take(into); size > 0) return {IoState::kDone, size};
    if (hello_buffer_.is_hello()) {
      hello_ = Hello::kHeard;
    } else {
      hello_ = Hello::kAwaited;
      hello_buffer_.expect_another();
    }
  }
  if (hello_ == Hello::kAwaited) {
    const IoResult heard = hear();
    return heard.state == IoState::kDone ? IoResult{IoState::kDone, hello_buffer_.take(into)} : heard;
  }
  const std::size_t size = hello_buffer_.take_rest(into);
  if (size > 0) return {IoState::kDone, size};
  hello_ = Hello::kOver;
  hello_buffer_ = HelloBuffer();
  return {IoState::kBlocked};
}

/// The first step of a server. kDone: the SSL object was made.
IoResult Stream::Session::begin() {
  const IoResult heard = hear();
  if (end_) return *end_;
  if (heard.state == IoState::kEof) refuse("the peer closed during the TLS handshake");
  if (heard.state == IoState::kFailed) end_ = heard;
  if (end_) return *end_;
  if (heard.state == IoState::kDone) make_ssl(Side::kServer);
  return heard;
}

IoResult Stream::Session::handshake(const Socket& socket) {
  if (shaken_) return {IoState::kDone};
  if (end_) return *end_;
  const Call call(*this, socket);
  if (!ssl_) {
    const IoResult begun = begin();
    if (begun.state == IoState::kFailed) flush(socket);  // an alert, too, should reach the peer
    if (begun.state != IoState::kDone) return begun;
  }
  starved_ = false;
  if (SSL_in_before(ssl()) && !SSL_is_server(ssl()))
    drained_ = true;  // a server sends nothing before it has received our hello
  for (int rounds = 0; rounds < kRecordsMax && !shaken_ && !end_ && !starved_; ++rounds) {
    forget_errors();
    const int returned = SSL_do_handshake(ssl_.get());
    shaken_ = returned == 1;
    if (!shaken_) wants_more(returned);
  }
  const IoResult sent = flush(socket);  // an alert, too, should reach the peer
  if (end_) {
    if (end_->state == IoState::kEof) refuse("the peer closed during the TLS handshake");
    return *end_;
  }
  if (sent.state == IoState::kFailed) return sent;
  return {shaken_ ? IoState::kDone : IoState::kBlocked};
}

IoResult Stream::Session::read(const Socket& socket, std::span<char> into) {
  if (end_) return *end_;
  if (!ssl_) return handshake(socket).state == IoState::kFailed ? *end_ : IoResult{IoState::kBlocked};
  const Call call(*this, socket);
  starved_ = false;
  into = into.first(std::min(into.size(), kTurnBytes));
  std::size_t filled = 0;
  for (int records = 0; filled < into.size() && !end_ && !starved_ && records < kRecordsMax; ++records) {
    forget_errors();
    const int got = SSL_read(ssl_.get(), into.data() + filled, static_cast<int>(into.size() - filled));
    if (messages_ > kMessagesMax) {
      refuse("too many key updates without data");
    } else if (got > 0) {
      ROUTER_PLANT(messages_ > 0 && filled > 0);
      messages_ = 0;
      filled += static_cast<std::size_t>(got);
      // While a full record was decrypted the next one may have arrived: passing on both at once costs less.
      if (got == static_cast<int>(kRecord)) drained_ = false;
      starved_ = drained_ && SSL_has_pending(ssl_.get()) == 0;
    } else {
      wants_more(got);  // after a session ticket or a key update: data may follow it
    }
  }
  if (starved_) SSL_free_buffers(ssl());  // reading a session ticket leaves a buffer for writing allocated
  flush(socket);                          // a key update may need an answer; if it cannot be sent, the next write fails
  if (unsent_.size() > kUnsentMax)
    end_ = IoResult{IoState::kFailed, 0, 0, "the peer does not read the answers that it asks for"};
  if (filled > 0) return {starved_ ? IoState::kDrained : IoState::kDone, filled};
  return end_.value_or(IoResult{IoState::kBlocked});
}

bool Stream::Session::encrypt(const char* from, std::size_t size) {
  while (size > 0) {
    forget_errors();
    const int wrote = SSL_write(ssl_.get(), from, static_cast<int>(size));  // one record at most
    if (wrote <= 0) return false;
    from += wrote;
    size -= static_cast<std::size_t>(wrote);
  }
  return true;
}

/// Encrypts the first `budget` bytes into records that are as full as possible. Small pieces are copied together into one
/// record; a piece that fills records by itself is not copied.
bool Stream::Session::encrypt(std::span<const iovec> pieces, std::size_t budget) {
  gathered.clear();
  for (const iovec& piece : pieces) {
    const char* from = static_cast<const char*>(piece.iov_base);
    std::size_t size = std::min(piece.iov_len, budget);
    budget -= size;
    while (size > 0) {
      const bool alone = gathered.empty() && size >= kRecord;
      const std::size_t part = alone ? size / kRecord * kRecord : std::min(size, kRecord - gathered.size());
      if (alone) {
        if (!encrypt(from, part)) return false;
      } else {
        gathered.append(from, part);
        if (gathered.size() == kRecord) {
          if (!encrypt(gathered.data(), kRecord)) return false;
          gathered.clear();
        }
      }
      from += part;
      size -= part;
    }
  }
  return encrypt(gathered.data(), gathered.size());
}

IoResult Stream::Session::write(const Socket& socket, std::span<const iovec> pieces) {
  if (lost_) return *end_;
  const Call call(*this, socket);
  if (!unsent_.empty()) {
    const IoResult sent = flush(socket);
    if (sent.state != IoState::kDone) return sent;
  }
  std::size_t total = 0;
  for (const iovec& piece : pieces) total += piece.iov_len;
  if (total == 0) return {IoState::kDone};
  if (!shaken_) return end_.value_or(IoResult{IoState::kFailed, 0, 0, "written before the end of the TLS handshake"});
  const std::size_t taken = std::min(total, kTurnBytes);
  const bool encrypted = encrypt(pieces, taken);
  IoResult sent = flush(socket);
  if (lost_) return *end_;
  if (!encrypted) {
    // OpenSSL 3.5 fails only this call: the peer gets no alert, and the next read would not fail.
    if (!end_) refuse("encrypting failed");
    return {IoState::kFailed, 0, 0, "the TLS connection has failed"};
  }
  if (sent.state == IoState::kFailed) return sent;
  if (taken < total) sent.state = IoState::kBlocked;  // enough for one call
  sent.bytes = taken;
  return sent;
}

void Stream::Session::send_close_notify(const Socket& socket) {
  const bool broken = end_ && end_->state == IoState::kFailed;
  // A second SSL_shutdown would read, and an alert that it finds would later appear as an orderly end.
  if (!shaken_ || broken || (SSL_get_shutdown(ssl()) & SSL_SENT_SHUTDOWN) != 0) return;
  const Call call(*this, socket);
  SSL_shutdown(ssl_.get());
  forget_errors();
  flush(socket);
}

void Stream::Session::refuse(const char* cause) noexcept {
  if (lost_) return;
  std::string().swap(unsent_);
  end_ = IoResult{IoState::kFailed, 0, 0, cause};
}

}  // namespace router::tls
