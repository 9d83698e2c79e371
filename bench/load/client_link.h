#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace bench {

/// Finds the end of each answer: Content-Length, or chunked as the stub writes it. Validates nothing: the server is trusted.
class AnswerReader {
 public:
  /// True once the answer is complete. Interim answers (1xx) are dropped.
  bool feed(std::string_view bytes) {
    if (!in_body_) {
      head_ += bytes;
      std::size_t end = head_.find("\r\n\r\n");
      while (end != std::string::npos && head_.starts_with("HTTP/1.1 1")) {
        head_.erase(0, end + 4);
        end = head_.find("\r\n\r\n");
      }
      if (end == std::string::npos) return false;
      read_head(std::string_view(head_).substr(0, end + 2));
      in_body_ = true;
      const std::string body = head_.substr(end + 4);
      head_.clear();
      return feed_body(body);
    }
    return feed_body(bytes);
  }
  void start() { *this = AnswerReader{}; }
  int status() const { return status_; }

 private:
  static constexpr std::string_view kEnd = "\r\n0\r\n\r\n";

  void read_head(std::string_view head) {
    std::string lower(head);
    for (char& each : lower) {
      if (each >= 'A' && each <= 'Z') each = static_cast<char>(each - 'A' + 'a');
    }
    if (lower.size() > 12) std::from_chars(lower.data() + 9, lower.data() + 12, status_);
    chunked_ = lower.find("\r\ntransfer-encoding: chunked\r\n") != std::string::npos;
    const std::size_t length = lower.find("\r\ncontent-length: ");
    if (length != std::string::npos) std::from_chars(lower.data() + length + 18, lower.data() + lower.size(), left_);
    tail_ = "\r\n";  // so that an empty chunked body ends like any other
  }

  bool feed_body(std::string_view bytes) {
    if (!chunked_) {
      left_ -= std::min<std::uint64_t>(left_, bytes.size());
      return left_ == 0;
    }
    tail_ += bytes;
    if (tail_.size() > kEnd.size()) tail_.erase(0, tail_.size() - kEnd.size());
    return tail_ == kEnd;
  }

  bool in_body_ = false;
  bool chunked_ = false;
  int status_ = 0;
  std::uint64_t left_ = 0;
  std::string head_;
  std::string tail_;
};

/// One connection of the load generator, plaintext or TLS, non-blocking. Call `advance` after each event of its socket (edge
/// triggered, both directions) and after `send`.
class Link {
 public:
  enum class State { kOpening, kIdle, kBusy, kClosing, kClosed, kFailed };

  /// `first`: sent before TLS begins.
  Link(std::uint16_t port, SSL_CTX* context, SSL_SESSION* session, std::string_view first = {}) : first_(first) {
    descriptor_ = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const int on = 1;
    ::setsockopt(descriptor_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (descriptor_ < 0 ||
        (::connect(descriptor_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 && errno != EINPROGRESS)) {
      state_ = State::kFailed;
    } else if (context != nullptr) {
      ssl_.reset(SSL_new(context));
      SSL_set_fd(ssl_.get(), descriptor_);
      SSL_set_connect_state(ssl_.get());
      if (session != nullptr) {
        SSL_SESSION* own = SSL_SESSION_dup(session);  // several connections resume it
        SSL_set_session(ssl_.get(), own);
        SSL_SESSION_free(own);
      }
    }
  }
  ~Link() {
    ssl_.reset();
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  /// Only while idle. Keeps `request` until it is sent.
  void send(std::string request) {
    request_ = std::move(request);
    sent_ = 0;
    answer_.start();
    state_ = State::kBusy;
  }
  /// TLS, only while idle: sends close_notify and waits for the peer to end the connection.
  void say_goodbye() {
    SSL_shutdown(ssl_.get());
    state_ = State::kClosing;
  }

  State advance() {
    if (state_ == State::kOpening && open()) state_ = State::kIdle;
    if (state_ == State::kBusy && write()) read();
    if (state_ == State::kIdle || state_ == State::kClosing) read();  // tickets, or the end of the connection
    return state_;
  }

  State state() const { return state_; }
  int descriptor() const { return descriptor_; }
  int status() const { return answer_.status(); }
  const SSL* ssl() const { return ssl_.get(); }

 private:
  enum class Io { kSome, kLater, kEnd };

  bool open() {
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(descriptor_, SOL_SOCKET, SO_ERROR, &error, &size);
    sockaddr_in peer{};
    socklen_t peer_size = sizeof peer;
    if (error != 0) {
      state_ = State::kFailed;
      return false;
    }
    if (::getpeername(descriptor_, reinterpret_cast<sockaddr*>(&peer), &peer_size) != 0) return false;  // not connected yet
    if (!ssl_) return true;
    if (!first_.empty()) {  // a byte or two: the empty socket takes them
      const std::string_view first = std::exchange(first_, {});
      if (::send(descriptor_, first.data(), first.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(first.size())) {
        state_ = State::kFailed;
        return false;
      }
    }
    const int done = SSL_do_handshake(ssl_.get());
    if (done == 1) return true;
    if (judge(done) == Io::kEnd) state_ = State::kFailed;
    return false;
  }

  Io judge(int result) const {
    const int error = SSL_get_error(ssl_.get(), result);
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? Io::kLater : Io::kEnd;
  }

  Io receive(std::array<char, 65536>& scratch, std::size_t& size) const {
    if (ssl_) {
      const int got = SSL_read(ssl_.get(), scratch.data(), static_cast<int>(scratch.size()));
      size = got > 0 ? static_cast<std::size_t>(got) : 0;
      return got > 0 ? Io::kSome : judge(got);
    }
    const ssize_t got = ::recv(descriptor_, scratch.data(), scratch.size(), 0);
    size = got > 0 ? static_cast<std::size_t>(got) : 0;
    if (got > 0) return Io::kSome;
    return got < 0 && (errno == EAGAIN || errno == EINTR) ? Io::kLater : Io::kEnd;
  }

  /// True once the request is sent.
  bool write() {
    while (sent_ < request_.size()) {
      const std::string_view rest = std::string_view(request_).substr(sent_);
      ssize_t wrote = 0;
      Io outcome = Io::kSome;
      if (ssl_) {
        wrote = SSL_write(ssl_.get(), rest.data(), static_cast<int>(rest.size()));
        if (wrote <= 0) outcome = judge(static_cast<int>(wrote));
      } else {
        wrote = ::send(descriptor_, rest.data(), rest.size(), MSG_NOSIGNAL);
        if (wrote < 0) outcome = errno == EAGAIN || errno == EINTR ? Io::kLater : Io::kEnd;
      }
      if (outcome == Io::kEnd) state_ = State::kFailed;
      if (outcome != Io::kSome) return false;
      sent_ += static_cast<std::size_t>(wrote);
    }
    return true;
  }

  void read() {
    static thread_local std::array<char, 65536> scratch;
    while (true) {
      std::size_t size = 0;
      const Io outcome = receive(scratch, size);
      if (outcome == Io::kEnd) state_ = state_ == State::kClosing ? State::kClosed : State::kFailed;
      if (outcome != Io::kSome) return;
      if (state_ == State::kBusy && answer_.feed({scratch.data(), size})) state_ = State::kIdle;
    }
  }

  struct FreeSsl {
    void operator()(SSL* ssl) const { SSL_free(ssl); }
  };
  std::string_view first_;
  int descriptor_ = -1;
  std::unique_ptr<SSL, FreeSsl> ssl_;
  State state_ = State::kOpening;
  std::string request_;
  std::size_t sent_ = 0;
  AnswerReader answer_;
};

}  // namespace bench
