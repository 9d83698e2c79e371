#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "router/runtime/socket.h"

namespace router::tls {

class ServerContext;
class ClientContext;
class PskServerContext;
class PskClientContext;

/// The byte stream of a connection: a socket, with or without TLS. Non-blocking like Socket: after kBlocked, arm, wait and call
/// again. One shard.
class Stream {
 public:
  Stream();
  /// Plaintext.
  explicit Stream(runtime::Socket socket);
  /// TLS, server side. `context` is this shard's and must outlive the stream.
  Stream(runtime::Socket socket, ServerContext& context);
  /// TLS, client side. Checks the peer's certificate against `server_name` if the context verifies.
  Stream(runtime::Socket socket, ClientContext& context, const std::string& server_name);
  /// TLS with a shared key instead of certificates, either side (psk.h). The context must outlive the stream.
  Stream(runtime::Socket socket, const PskServerContext& context);
  Stream(runtime::Socket socket, const PskClientContext& context);
  Stream(Stream&&) noexcept;
  Stream& operator=(Stream&&) noexcept;
  ~Stream();

  static constexpr std::size_t kTurnBytes = 256 * 1024;  // TLS: limit of one read or write, so that none delays the shard

  /// Continues the TLS handshake. kDone: it is complete (at once for plaintext).
  runtime::IoResult handshake();
  /// TLS, server side, after a failed handshake: whether the client had sent no byte / a request of plain HTTP / a HEAD
  /// request, whose response has no body. A client of plain HTTP got no alert, and can be answered on the socket.
  bool has_heard_nothing() const;
  bool has_heard_http() const;
  bool has_heard_http_head() const;
  /// Fills `into`, at most 256 KB or 64 records of it: kDone (more may be there), kDrained, kBlocked (also from `arm_read` to
  /// its wake, without a system call), kEof (plaintext: FIN; TLS: close_notify), kFailed. A FIN without close_notify is
  /// kFailed: an attacker may have cut the stream, and a body that ends with the connection would be taken for complete (RFC
  /// 9112, section 9.8).
  runtime::IoResult read(std::span<char> into);
  /// kDone: all bytes were sent. kBlocked: `bytes` of the pieces were taken (with TLS perhaps all, encrypted and not sent yet;
  /// at most 256 KB in one call); call again with the rest, or with nothing, when writable. TLS: only after the handshake.
  runtime::IoResult write(std::span<const iovec> pieces);
  /// Arms the event for which the last blocked read or handshake (`arm_write`: write) waits. If a read would return something
  /// at once, wakes from the event loop without the socket. Does nothing on a closed stream.
  void arm_read();
  void arm_write();

  /// TLS: sends close_notify if possible. Then closes our side of the socket.
  void shutdown_write();
  /// May be called at any time, also twice; every later call fails. TLS: sends no close_notify.
  void close();
  runtime::Socket& socket() { return socket_; }
  bool is_open() const { return socket_.is_open(); }
  bool is_tls() const { return session_ != nullptr; }
  /// TLS: whether the handshake resumed an earlier session / the protocol version (`TLSv1.3`) / the protocol that ALPN chose,
  /// or empty.
  bool resumed() const;
  const char* protocol() const;
  std::string_view alpn() const;

 private:
  struct Session;  // TLS: the SSL object, and what waits to be sent
  runtime::Socket socket_;
  std::unique_ptr<Session> session_;
};

}  // namespace router::tls
