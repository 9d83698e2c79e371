#pragma once

#include <openssl/ssl.h>

#include <cstddef>
#include <optional>
#include <span>
#include <string>

#include "router/runtime/socket.h"
#include "tls/hello_buffer.h"
#include "tls/owned.h"
#include "tls/stream.h"

namespace router::tls {

/// The TLS of one Stream: the SSL object between the socket and the stream's user.
/// Reading: OpenSSL reads from its BIO, which reads from the kernel directly, several records at a time (read-ahead). Writing:
/// what OpenSSL produces within one call is collected in a buffer of the thread and sent by one system call. What the kernel
/// does not take is kept in `unsent_`, and no more data is encrypted until that is sent.
/// A server makes its SSL object when the ClientHello is complete; until then it holds only the bytes of that (HelloBuffer).
/// Holds no buffer while nothing waits in either direction. One shard.
struct Stream::Session {
  static constexpr std::size_t kUnsentMax = 1024 * 1024;  // ciphertext that waits for the peer; with more, the connection fails
  static constexpr int kMessagesMax = 32;                 // handshake messages between two records of data, after the handshake
  static constexpr int kRecordsMax = 64;                  // records in one read: small ones take as much time as full ones

  enum class Side { kServer, kClient };
  /// `context` must outlive this. Throws std::bad_alloc, as `handshake` may.
  Session(SSL_CTX* context, Side side);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session() = default;

  SSL* ssl() const { return ssl_.get(); }  // null: a server whose client's hello is not complete

  runtime::IoResult handshake(const runtime::Socket& socket);
  runtime::IoResult read(const runtime::Socket& socket, std::span<char> into);
  runtime::IoResult write(const runtime::Socket& socket, std::span<const iovec> pieces);
  /// Sends the ciphertext that earlier calls have left: kDone, kBlocked or kFailed.
  runtime::IoResult flush(const runtime::Socket& socket) noexcept;
  void send_close_notify(const runtime::Socket& socket);
  /// Every later call fails with `cause`.
  void refuse(const char* cause) noexcept;

  /// Before the end of a server's handshake: whether the client has sent no byte / plain HTTP instead of a hello / a HEAD of
  /// that.
  bool has_heard_nothing() const { return !ssl_ && hello_buffer_.is_empty(); }
  bool has_heard_http() const { return !ssl_ && hello_buffer_.is_http(); }
  bool has_heard_http_head() const { return has_heard_http() && hello_buffer_.is_http_head(); }

  /// Whether a read may return something that the socket will not announce.
  bool has_input() const { return end_.has_value() || (ssl_ && !starved_ && SSL_has_pending(ssl_.get()) != 0); }

 private:
  static BIO_METHOD* bio_method();
  // Called by OpenSSL: no exception may pass through its frames.
  static int bio_read(BIO* bio, char* into, int size) noexcept;
  static int no_input(BIO* bio, const runtime::IoResult& got) noexcept;
  static int bio_write(BIO* bio, const char* from, int size) noexcept;
  static long bio_control(BIO* bio, int command, long number, void* pointer) noexcept;
  static void on_message(int is_ours, int version, int content_type, const void* bytes, std::size_t size, SSL* ssl,
                         void* self) noexcept;

  /// What a server still has to receive before OpenSSL may read from the socket.
  enum class Hello {
    kAwaited,  // the first hello; or the second, after a HelloRetryRequest
    kWhole,    // complete bytes go to OpenSSL
    kHeard,    // no more hello will come; the bytes behind the last one go to OpenSSL
    kOver,     // OpenSSL reads from the socket
  };
  void make_ssl(Side side);
  runtime::IoResult begin();
  /// Within a call: reads until the hello is complete (kDone). If it is refused, `end_` says why.
  runtime::IoResult hear() noexcept;
  void refuse_hello() noexcept;
  runtime::IoResult read_hello(std::span<char> into) noexcept;

  class Call;
  /// Ciphertext that the peer needs is lost: nothing more is sent, and every later call fails.
  void lose() noexcept;
  void keep_unsent(std::string& ciphertext, std::size_t sent) noexcept;
  bool encrypt(const char* from, std::size_t size);
  bool encrypt(std::span<const iovec> pieces, std::size_t budget);
  /// Whether the call that returned `returned` has only to be repeated; if not, `end_` says why.
  bool wants_more(int returned);

  SSL_CTX* const context_;
  Owned<SSL> ssl_;
  HelloBuffer hello_buffer_;
  Hello hello_ = Hello::kOver;
  std::string unsent_;                       // ciphertext that the kernel has not taken
  std::optional<runtime::IoResult> end_;     // how reading has ended: kEof or kFailed, returned by each later read
  const runtime::Socket* socket_ = nullptr;  // for the BIO, within one call
  int read_error_ = 0;                       // errno of the BIO's failure
  int messages_ = 0;                         // handshake messages since the last data: key updates, session tickets
  bool shaken_ = false;                      // the handshake is complete
  bool drained_ = false;                     // within one call: the kernel had fewer bytes than requested
  bool starved_ = false;                     // OpenSSL needed bytes that were not there: it holds nothing complete
  bool peer_ended_ = false;                  // FIN
  bool lost_ = false;                        // see `lose`; `end_` is kFailed
};

}  // namespace router::tls
