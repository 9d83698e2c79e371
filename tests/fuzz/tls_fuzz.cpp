#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "tests/fuzz/support.h"
#include "tests/support/certificates.h"
#include "tests/support/test_shard.h"
#include "tls/context.h"
#include "tls/owned.h"
#include "tls/stream.h"

/// TLS records before, during and after a handshake. A Stream of the router's, server or client, is connected by a socket pair
/// with a peer of plain OpenSSL. The first two bytes choose the scene and the peer. Every other byte is a step: the peer
/// writes; its bytes arrive whole, in parts, changed, twice, never, or mixed with arbitrary bytes; the router's side reads and
/// writes. In every case: only bytes that the peer has written are read, in order; an end is reported only if the peer has sent
/// it and all bytes before it were read; an ended stream stays ended; every expected wake-up comes, and each call returns.
namespace router::tls {
namespace {

using fuzz::require;
using runtime::IoResult;
using runtime::IoState;
using test::CertificatePaths;
using test::CertificateRequest;

constexpr std::size_t kStepsMax = 400;

/// Both directions carry the same text. Each position determines its letter.
char letter(std::size_t at) { return static_cast<char>('a' + (at * 7 + at / 251) % 26); }
std::string text_from(std::size_t at, std::size_t size) {
  std::string text(size, ' ');
  for (char& c : text) c = letter(at++);
  return text;
}

/// The contexts of the router's side and of its possible peers.
struct Contexts {
  test::TestAuthority authority;
  test::TestAuthority stranger;
  std::shared_ptr<ServerContext> server;
  std::shared_ptr<ServerContext> server13;
  std::shared_ptr<ClientContext> client;
  std::shared_ptr<ClientContext> trusting;
  std::vector<Owned<SSL_CTX>> clients;
  std::vector<Owned<SSL_CTX>> servers;

  Contexts() {
    const CertificatePaths localhost = authority.issue();
    server = make_server(localhost, false);
    server13 = make_server(localhost, true);
    client = ClientContext::make({.ca_file = authority.ca_file()}, 1).value().front();
    trusting = ClientContext::make({.verify = false}, 1).value().front();

    for (int i = 0; i < 6; ++i) clients.emplace_back(SSL_CTX_new(TLS_client_method()));
    SSL_CTX_set_max_proto_version(clients[1].get(), TLS1_2_VERSION);
    SSL_CTX_set_security_level(clients[2].get(), 0);
    SSL_CTX_set_min_proto_version(clients[2].get(), TLS1_VERSION);
    SSL_CTX_set_max_proto_version(clients[2].get(), TLS1_1_VERSION);
    SSL_CTX_set_max_proto_version(clients[3].get(), TLS1_2_VERSION);
    SSL_CTX_set_cipher_list(clients[3].get(), "AES128-SHA");
    constexpr unsigned char kOther[] = "\x02h2";
    SSL_CTX_set_alpn_protos(clients[4].get(), kOther, 3);
    SSL_CTX_set_verify(clients[5].get(), SSL_VERIFY_PEER, nullptr);  // trusts no authority

    using std::chrono::hours;
    add_server(localhost);
    add_server(localhost);
    SSL_CTX_set_max_proto_version(servers[1].get(), TLS1_2_VERSION);
    add_server(authority.issue({.names = {"other.example"}}));
    add_server(authority.issue({.begins = hours(-48), .ends = hours(-24)}));
    add_server(authority.issue({.begins = hours(24), .ends = hours(48)}));
    add_server(stranger.issue());
    add_server(localhost);
    SSL_CTX_set_verify(servers[6].get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  }
  static Contexts& get() {
    static auto* const contexts = new Contexts;
    return *contexts;
  }

 private:
  static std::shared_ptr<ServerContext> make_server(const CertificatePaths& paths, bool tls13_only) {
    ServerOptions options;
    options.certificates.push_back({paths.certificate_file, paths.key_file, ""});
    options.tls13_only = tls13_only;
    return ServerContext::make(options, TicketKeys::make({}).value(), 1).value().front();
  }
  void add_server(const CertificatePaths& paths) {
    servers.emplace_back(SSL_CTX_new(TLS_server_method()));
    require(SSL_CTX_use_certificate_chain_file(servers.back().get(), paths.certificate_file.c_str()) == 1);
    require(SSL_CTX_use_PrivateKey_file(servers.back().get(), paths.key_file.c_str(), SSL_FILETYPE_PEM) == 1);
  }
};

/// OpenSSL without a socket. Its output waits in `said` until it is delivered.
class Peer {
 public:
  Peer(SSL_CTX* context, bool server) : ssl_(SSL_new(context)) {
    SSL_set_bio(ssl_.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    server ? SSL_set_accept_state(ssl_.get()) : SSL_set_connect_state(ssl_.get());
  }

  void hear(std::string_view bytes) { BIO_write(SSL_get_rbio(ssl_.get()), bytes.data(), static_cast<int>(bytes.size())); }
  void shake() {
    SSL_do_handshake(ssl_.get());
    collect();
  }
  void write(std::size_t size) {
    if (size == 0 || !can_speak()) return;
    if (SSL_write(ssl_.get(), text_from(written, size).data(), static_cast<int>(size)) > 0) written += size;
    collect();
  }
  void read() {
    std::array<char, 4096> bytes;
    for (int got; shaken() && (got = SSL_read(ssl_.get(), bytes.data(), bytes.size())) > 0;) {
      for (int i = 0; i < got; ++i) require(bytes[static_cast<std::size_t>(i)] == letter(received++));
    }
    collect();
  }
  void update_key(bool both) {
    if (!can_speak() || SSL_version(ssl_.get()) != TLS1_3_VERSION) return;
    SSL_key_update(ssl_.get(), both ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED);
    SSL_do_handshake(ssl_.get());
    collect();
  }
  void renegotiate() {
    if (!can_speak()) return;
    SSL_renegotiate(ssl_.get());
    SSL_do_handshake(ssl_.get());
    collect();
  }
  void say_goodbye() {
    if (!can_speak()) return;
    SSL_shutdown(ssl_.get());
    said_goodbye = true;
    collect();
  }
  /// OpenSSL itself would write after its close_notify if it were asked to renegotiate.
  bool can_speak() const { return shaken() && !said_goodbye; }
  bool shaken() const { return SSL_is_init_finished(ssl_.get()) == 1; }

  std::string said;
  std::size_t written = 0;
  std::size_t received = 0;
  bool said_goodbye = false;

 private:
  void collect() {
    ERR_clear_error();
    std::string output(BIO_ctrl_pending(SSL_get_wbio(ssl_.get())), '\0');
    if (!output.empty()) BIO_read(SSL_get_wbio(ssl_.get()), output.data(), static_cast<int>(output.size()));
    said.append(output);
  }
  Owned<SSL> ssl_;
};

struct CountingWaker final : runtime::Waker {
  void wake() override { ++count; }
  int count = 0;
};

class Conversation {
 public:
  Conversation(std::uint8_t scene, std::uint8_t who)
      : contexts_(Contexts::get()), is_client_((scene & 1) != 0), peer_(context_of_peer(who), is_client_) {
    std::array<int, 2> ends{};
    require(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends.data()) == 0);
    if ((scene & 2) != 0) {
      const int small = 1;
      ::setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    }
    far_end_ = ends[1];
    runtime::Socket socket(shard(), ends[0]);
    socket.set_waker(&waker_);
    if (is_client_) {
      constexpr const char* kNames[] = {"localhost", "127.0.0.1", "localhost.", ""};
      ClientContext& context = (scene & 4) != 0 ? *contexts_.trusting : *contexts_.client;
      stream_ = Stream(std::move(socket), context, kNames[(scene >> 3) & 3]);
    } else {
      stream_ = Stream(std::move(socket), (scene & 4) != 0 ? *contexts_.server13 : *contexts_.server);
    }
    if ((scene & 0x80) != 0) shake_through();
  }
  ~Conversation() { ::close(far_end_); }
  Conversation(const Conversation&) = delete;
  Conversation& operator=(const Conversation&) = delete;

  void run(std::string_view program) {
    for (std::size_t steps = 0; !program.empty() && steps < kStepsMax; ++steps) step(program);
  }

  /// Delivers all output of the peer, and then the end of the connection: the router's side must end, too.
  void finish() {
    for (int rounds = 0; !peer_.said.empty() && rounds < 1000; ++rounds) {
      deliver(peer_.said.size());
      turn();
    }
    ::shutdown(far_end_, SHUT_WR);
    for (std::size_t calls = 0; stream_.is_open() && !over_; ++calls) {
      require(calls < 1000 + delivered_);
      listen();  // the peer reads its bytes
      const int woken = waker_.count;
      stream_.arm_read();
      poll();
      require(waker_.count > woken);
      turn();
    }
  }

 private:
  static test::TestShard& shard() {
    static auto* const made = new test::TestShard;
    return *made;
  }
  static void poll() { shard().poll(); }
  SSL_CTX* context_of_peer(std::uint8_t who) const {
    const auto& all = is_client_ ? contexts_.servers : contexts_.clients;
    return all[who % all.size()].get();
  }

  static std::size_t take(std::string_view& program) {
    if (program.empty()) return 0;
    const auto value = static_cast<unsigned char>(program.front());
    program.remove_prefix(1);
    return value;
  }
  /// A small size, or several records.
  static std::size_t take_size(std::string_view& program) {
    const std::size_t value = take(program);
    return value < 128 ? value : (value - 127) * 1021;
  }

  void step(std::string_view& program) {
    switch (take(program) % 20) {
      case 0: shake(); break;
      case 1:
        listen();
        peer_.shake();
        break;
      case 2: deliver(peer_.said.size()); break;
      case 3: deliver(take(program)); break;
      case 4: {
        const std::size_t size = std::min(take(program), program.size());
        send(program.substr(0, size));
        program.remove_prefix(size);
        break;
      }
      case 5: {
        const std::size_t at = take(program) << 8 | take(program);
        const std::size_t change = take(program);
        if (!peer_.said.empty()) peer_.said[at % peer_.said.size()] ^= static_cast<char>(change);
        break;
      }
      case 6: peer_.write(take_size(program)); break;
      case 7: peer_.update_key(take(program) % 2 != 0); break;
      case 8: read(take_size(program) + 1); break;
      case 9: write(take_size(program)); break;
      case 10: peer_.say_goodbye(); break;
      case 11: ::shutdown(far_end_, SHUT_WR); break;
      case 12:
        stream_.shutdown_write();
        shut_ = true;
        break;
      case 13: peer_.said.insert(0, peer_.said.substr(0, take(program))); break;
      case 14: peer_.said.erase(0, take(program)); break;
      case 15:
        stream_.arm_read();
        poll();
        break;
      case 16:
        stream_.arm_write();
        poll();
        break;
      case 17:
        listen();
        peer_.read();
        break;
      case 18: peer_.renegotiate(); break;
      default:
        if (take(program) == 255) close();
    }
  }

  void shake_through() {
    for (int turns = 0; turns < 6; ++turns) {
      shake();
      listen();
      peer_.shake();
      deliver(peer_.said.size());
    }
  }

  // --- the peer's side ---
  void send(std::string_view bytes) {
    const ssize_t sent = ::send(far_end_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent > 0) delivered_ += static_cast<std::size_t>(sent);
  }
  void deliver(std::size_t size) {
    const ssize_t sent = ::send(far_end_, peer_.said.data(), std::min(size, peer_.said.size()), MSG_NOSIGNAL);
    if (sent > 0) {
      delivered_ += static_cast<std::size_t>(sent);
      peer_.said.erase(0, static_cast<std::size_t>(sent));
    } else if (errno != EAGAIN) {
      peer_.said.clear();  // the router's side has closed, so the bytes are dropped
    }
  }
  void listen() {
    std::array<char, 16384> bytes;
    for (ssize_t got; (got = ::recv(far_end_, bytes.data(), bytes.size(), 0)) > 0;) {
      peer_.hear({bytes.data(), static_cast<std::size_t>(got)});
    }
  }

  // --- the router's side ---
  void turn() { shaken_ ? read(64 * 1024) : shake(); }

  void shake() {
    if (!stream_.is_open() || over_) return;
    const IoResult result = stream_.handshake();
    require(result.state == IoState::kDone || result.state == IoState::kBlocked || result.state == IoState::kFailed);
    require(!shaken_ || result.state == IoState::kDone);
    shaken_ = result.state == IoState::kDone;
    if (shaken_)
      require(std::string_view(stream_.protocol()) == "TLSv1.3" || std::string_view(stream_.protocol()) == "TLSv1.2");
    if (shaken_) require(!stream_.resumed() && (stream_.alpn().empty() || stream_.alpn() == "http/1.1"));
    if (result.state == IoState::kFailed) end(result);
  }

  void read(std::size_t size) {
    if (!shaken_ || !stream_.is_open()) return;
    std::vector<char> into(size);
    const IoResult got = stream_.read(into);
    if (over_) {
      require(got.state == IoState::kBlocked || (got.state == end_.state && std::string_view(got.cause) == end_.cause));
    } else if (got.moved()) {
      require(got.bytes > 0 && got.bytes <= std::min(size, Stream::kTurnBytes));
      for (std::size_t i = 0; i < got.bytes; ++i) require(into[i] == letter(received_++));
      require(received_ <= peer_.written);
    } else if (got.state != IoState::kBlocked) {
      end(got);
    } else {
      require(got.bytes == 0);
    }
  }

  void write(std::size_t size) {
    if (broken_ || shut_ || !stream_.is_open()) return;
    queued_ += size;
    const std::string text = text_from(sent_, queued_ - sent_);
    const std::size_t half = text.size() / 3;
    const std::array<iovec, 2> pieces{iovec{const_cast<char*>(text.data()), half},
                                      iovec{const_cast<char*>(text.data()) + half, text.size() - half}};
    const IoResult result = stream_.write(pieces);
    if (result.state == IoState::kFailed) {
      broken_ = true;
      return;
    }
    require(shaken_ || text.empty());
    require(result.state == IoState::kDone ? result.bytes == text.size() : result.state == IoState::kBlocked);
    require(result.bytes <= std::min(text.size(), Stream::kTurnBytes));
    sent_ += result.bytes;
  }

  void close() {
    stream_.close();
    const std::string text = "x";
    const iovec piece{const_cast<char*>(text.data()), 1};
    require(stream_.write({&piece, 1}).state == IoState::kFailed);
    require(!stream_.is_open());
  }

  void end(const IoResult& how) {
    over_ = true;
    end_ = how;
    if (how.state == IoState::kEof) require(peer_.said_goodbye && received_ == peer_.written);
    require(how.state == IoState::kEof || (how.state == IoState::kFailed && how.cause[0] != '\0'));
  }

  Contexts& contexts_;
  const bool is_client_;
  Peer peer_;
  int far_end_ = -1;
  CountingWaker waker_;
  Stream stream_;
  std::size_t delivered_ = 0;  // bytes of ciphertext
  std::size_t received_ = 0;   // bytes of text
  std::size_t queued_ = 0;
  std::size_t sent_ = 0;
  bool shaken_ = false;
  bool broken_ = false;  // writing has failed
  bool shut_ = false;
  bool over_ = false;
  IoResult end_;
};

}  // namespace
}  // namespace router::tls

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  router::tls::Conversation conversation(data[0], data[1]);
  conversation.run(router::fuzz::text_of(data + 2, size - 2));
  conversation.finish();
  return 0;
}
