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

  /// Goes on with the TLS handshake: kDone when complete (at once for plaintext).
  runtime::IoResult handshake();
  /// Fills `into`: kDone (full, more may be at hand), kDrained, kBlocked, kEof (FIN or close_notify), kFailed.
  runtime::IoResult read(std::span<char> into);
  /// kDone: all taken and sent. kBlocked: `bytes` of the pieces were taken (for TLS perhaps all, encrypted and waiting inside,
  /// bounded by what was passed); call again with the rest, or with nothing, when writable.
  runtime::IoResult write(std::span<const iovec> pieces);
  /// Arms what the last blocked read (write) waits for. Wakes at once if bytes are already at hand inside.
  void arm_read();
  void arm_write();

  /// TLS: sends close_notify if possible; then ends our side of the socket.
  void shutdown_write();
  void close();
  runtime::Socket& socket() { return socket_; }
  bool is_open() const { return socket_.is_open(); }
  bool is_tls() const { return session_ != nullptr; }
  /// TLS: the handshake resumed an earlier session. / The protocol version (`TLSv1.3`). / What ALPN chose, or empty.
  bool resumed() const;
  const char* protocol() const;
  std::string_view alpn() const;

 private:
  struct Session;  // the SSL object, its BIO, bytes that wait
  runtime::Socket socket_;
  std::unique_ptr<Session> session_;
};

}  // namespace router::tls
