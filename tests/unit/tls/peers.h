#pragma once

#include <gtest/gtest.h>
#include <openssl/bio.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/certificates.h"
#include "tests/support/test_shard.h"
#include "tls/context.h"
#include "tls/owned.h"
#include "tls/stream.h"

/// Both ends of TLS connections for tests: the router's streams, and peers of plain OpenSSL whose bytes the test moves itself.
namespace router::tls::test {

using router::test::CertificatePaths;
using router::test::CertificateRequest;
using router::test::TestAuthority;
using router::test::TestShard;
using runtime::IoResult;
using runtime::IoState;

inline std::array<int, 2> socket_pair() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends.data()) != 0) throw std::runtime_error("no socketpair");
  return ends;
}

inline CertificateFiles files(const CertificatePaths& paths) {
  return {paths.certificate_file, paths.key_file, paths.password_file};
}

inline std::shared_ptr<TicketKeys> ticket_keys(const std::vector<std::string>& from = {}) {
  return TicketKeys::make(from).value();
}

inline std::shared_ptr<ServerContext> server_context(const std::vector<CertificatePaths>& certificates,
                                                     ServerOptions options = {},
                                                     const std::shared_ptr<TicketKeys>& keys = ticket_keys()) {
  for (const CertificatePaths& paths : certificates) options.certificates.push_back(files(paths));
  auto made = ServerContext::make(options, keys, 1);
  if (!made.ok()) throw std::runtime_error(std::string(made.status().message()));
  return made->front();
}

inline std::shared_ptr<ClientContext> client_context(const std::string& ca_file, bool verify = true) {
  ClientOptions options;
  options.verify = verify;
  options.ca_file = ca_file;
  auto made = ClientContext::make(options, 1);
  if (!made.ok()) throw std::runtime_error(std::string(made.status().message()));
  return made->front();
}

/// A peer made of plain OpenSSL. It moves bytes only when the test calls it: `send` passes OpenSSL's output to the kernel,
/// `receive` passes the kernel's bytes to OpenSSL.
class RawPeer {
 public:
  RawPeer(int descriptor, SSL_CTX* context, bool server) : descriptor_(descriptor), ssl_(SSL_new(context)) {
    SSL_set_bio(ssl_.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    server ? SSL_set_accept_state(ssl_.get()) : SSL_set_connect_state(ssl_.get());
  }
  RawPeer(const RawPeer&) = delete;
  RawPeer& operator=(const RawPeer&) = delete;
  ~RawPeer() { close(); }

  SSL* ssl() { return ssl_.get(); }
  int descriptor() const { return descriptor_; }

  /// Takes the ciphertext that waits to be sent.
  std::string take_output() {
    std::string output(BIO_ctrl_pending(SSL_get_wbio(ssl())), '\0');
    if (!output.empty()) BIO_read(SSL_get_wbio(ssl()), output.data(), static_cast<int>(output.size()));
    return output;
  }
  void send(std::string_view bytes) {
    EXPECT_EQ(::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
  }
  void send() {
    if (const std::string output = take_output(); !output.empty()) send(output);
  }
  /// Returns the ciphertext that has arrived since the last call, and passes it to OpenSSL.
  std::string receive() {
    std::string received;
    std::array<char, 65536> bytes;
    for (ssize_t got; (got = ::recv(descriptor_, bytes.data(), bytes.size(), 0)) > 0;) {
      received.append(bytes.data(), static_cast<std::size_t>(got));
    }
    if (!received.empty()) BIO_write(SSL_get_rbio(ssl()), received.data(), static_cast<int>(received.size()));
    return received;
  }
  void shake() {
    receive();
    SSL_do_handshake(ssl());
    send();
  }
  bool shaken() const { return SSL_is_init_finished(ssl_.get()) == 1; }
  void write(std::string_view text) {
    EXPECT_EQ(SSL_write(ssl(), text.data(), static_cast<int>(text.size())), static_cast<int>(text.size()));
  }
  std::string read() {
    receive();
    std::string text;
    std::array<char, 16384> bytes;
    for (int attempts = 0; attempts < 3; ++attempts) {  // a read that consumes a ticket returns no bytes
      for (int got; (got = SSL_read(ssl(), bytes.data(), bytes.size())) > 0;)
        text.append(bytes.data(), static_cast<std::size_t>(got));
    }
    return text;
  }
  void close() {
    if (descriptor_ >= 0) ::close(std::exchange(descriptor_, -1));
  }

 private:
  int descriptor_;
  Owned<SSL> ssl_;
};

/// The handshake of a router's stream with a raw peer.
inline IoResult shake(Stream& stream, RawPeer& peer) {
  IoResult result;
  for (int turn = 0; turn < 10; ++turn) {
    result = stream.handshake();
    peer.shake();
    if (result.state == IoState::kFailed || (result.state == IoState::kDone && peer.shaken())) break;
  }
  return result;
}

/// The handshake between two of the router's streams. Returns the result of each side.
inline std::pair<IoResult, IoResult> shake(Stream& client, Stream& server) {
  std::pair<IoResult, IoResult> results;
  for (int turn = 0; turn < 10; ++turn) {
    results = {client.handshake(), server.handshake()};
    if (results.first.state != IoState::kBlocked && results.second.state != IoState::kBlocked) break;
    if (results.first.state == IoState::kFailed) client.close();
    if (results.second.state == IoState::kFailed) server.close();
  }
  return results;
}

inline IoResult write(Stream& stream, const std::vector<std::string_view>& pieces) {
  std::vector<iovec> parts;
  parts.reserve(pieces.size());
  for (const std::string_view piece : pieces) parts.push_back({const_cast<char*>(piece.data()), piece.size()});
  return stream.write(parts);
}

/// Reads until no bytes are left. `last` is the result of the last read.
inline std::string read_all(Stream& stream, IoResult* last = nullptr) {
  std::string text;
  std::vector<char> bytes(128 * 1024);
  for (;;) {
    const IoResult got = stream.read(bytes);
    if (got.moved()) text.append(bytes.data(), got.bytes);
    if (last != nullptr) *last = got;
    if (got.state != IoState::kDone) return text;
  }
}

/// Counts how often a stream wakes its owner.
struct CountingWaker final : runtime::Waker {
  void wake() override { ++count; }
  int count = 0;
};

/// One authority and one certificate for `localhost`, created once, because keys take time.
inline TestAuthority& authority() {
  static TestAuthority made;
  return made;
}
inline const CertificatePaths& localhost() {
  static const CertificatePaths paths = authority().issue();
  return paths;
}

}  // namespace router::tls::test
