#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "router/runtime/socket.h"

namespace router::tls {

class ServerContext;
class ClientContext;

/// A connection's bytes: a socket, with TLS upon it or without. Non-blocking like Socket; after kBlocked arm, wait, ask again.
/// One shard.
class Stream {
 public:
  Stream();
  /// Plaintext.
  explicit Stream(runtime::Socket socket);
  /// TLS, server side. `context` is this shard's and must outlive the stream.
  Stream(runtime::Socket socket, ServerContext& context);
  /// TLS, client side, checking the peer's certificate against `server_name` if the context verifies.
  Stream(runtime::Socket socket, ClientContext& context, const std::string& server_name);
  Stream(Stream&&) noexcept;
  Stream& operator=(Stream&&) noexcept;
  ~Stream();

  static constexpr std::size_t kTurnBytes = 256 * 1024;  // TLS: taken or given in one call, so that none holds the shard

  /// Goes on with the TLS handshake: kDone when complete (at once for plaintext).
  runtime::IoResult handshake();
  /// TLS, server side, of a handshake that failed: the client had not sent a byte / began with a request of plain HTTP (one of
  /// HEAD, whose answer has no body). To the latter no alert was sent, and it can be answered upon the socket.
  bool has_heard_nothing() const;
  bool has_heard_http() const;
  bool has_heard_http_head() const;
  /// Fills `into`, at most 256 KB or 64 records of it: kDone (more may be at hand), kDrained, kBlocked (also between `arm_read`
  /// and its waking, without asking the kernel), kEof (plaintext: FIN; TLS: close_notify), kFailed. A FIN without close_notify
  /// is kFailed: somebody may have cut the stream, and a body that ends with the connection would be taken for complete (RFC
  /// 9112, section 9.8).
  runtime::IoResult read(std::span<char> into);
  /// kDone: all taken and sent. kBlocked: `bytes` of the pieces were taken (for TLS perhaps all, encrypted and waiting inside;
  /// at most 256 KB a call); call again with the rest, or with nothing, when writable. TLS: only after the handshake.
  runtime::IoResult write(std::span<const iovec> pieces);
  /// Arms what the last blocked read or handshake (write) waits for. Wakes from the loop, without the socket, if a read has
  /// something to tell at once. Nothing on a closed stream.
  void arm_read();
  void arm_write();

  /// TLS: sends close_notify if possible; then ends our side of the socket.
  void shutdown_write();
  /// At any time, also twice; every later call fails. TLS: without close_notify.
  void close();
  runtime::Socket& socket() { return socket_; }
  bool is_open() const { return socket_.is_open(); }
  bool is_tls() const { return session_ != nullptr; }
  /// TLS: the handshake resumed an earlier session. / The protocol version (`TLSv1.3`). / What ALPN chose, or empty.
  bool resumed() const;
  const char* protocol() const;
  std::string_view alpn() const;

 private:
  struct Session;  // TLS: the SSL object, and what waits to be sent
  runtime::Socket socket_;
  std::unique_ptr<Session> session_;
};

}  // namespace router::tls
