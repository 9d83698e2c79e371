#include "tests/unit/tls/peers.h"

namespace router::tls::test {
namespace {

CertificatePaths issue(std::vector<std::string> names, CertificateRequest::Key key = CertificateRequest::Key::kEcdsa) {
  CertificateRequest request;
  request.names = std::move(names);
  request.key = key;
  return authority().issue(request);
}

struct Hello {
  std::string name{};  // SNI; empty: none
  int version = TLS1_3_VERSION;
  std::string signatures{};              // empty: all
  std::vector<std::string> protocols{};  // ALPN; empty: none
};

struct Answer {
  IoResult handshake;
  X509* certificate = nullptr;  // of the peer's object, valid as long as `peer`
  std::string alpn;
  std::unique_ptr<RawPeer> peer;
  bool is_ecdsa() const { return EVP_PKEY_get_base_id(X509_get0_pubkey(certificate)) == EVP_PKEY_EC; }
  bool is_for(const std::string& name) const { return X509_check_host(certificate, name.c_str(), 0, 0, nullptr) == 1; }
};

/// How `context` answers a client that says `hello`.
Answer answer(ServerContext& context, const Hello& hello) {
  TestShard shard;
  const Owned<SSL_CTX> client(SSL_CTX_new(TLS_client_method()));
  SSL_CTX_set_security_level(client.get(), 0);
  SSL_CTX_set_min_proto_version(client.get(), std::min(hello.version, TLS1_2_VERSION));
  SSL_CTX_set_max_proto_version(client.get(), hello.version);
  const auto ends = socket_pair();
  Stream stream(runtime::Socket(shard, ends[0]), context);
  Answer got;
  got.peer = std::make_unique<RawPeer>(ends[1], client.get(), false);
  SSL* ssl = got.peer->ssl();
  if (!hello.name.empty()) SSL_set_tlsext_host_name(ssl, hello.name.c_str());
  if (!hello.signatures.empty()) SSL_set1_sigalgs_list(ssl, hello.signatures.c_str());
  std::string protocols;
  for (const std::string& protocol : hello.protocols) protocols += static_cast<char>(protocol.size()) + protocol;
  if (!protocols.empty()) {
    SSL_set_alpn_protos(ssl, reinterpret_cast<const unsigned char*>(protocols.data()), static_cast<unsigned>(protocols.size()));
  }
  got.peer->shake();
  got.handshake = shake(stream, *got.peer);
  got.certificate = SSL_get0_peer_certificate(ssl);
  got.alpn = stream.alpn();
  return got;
}

TEST(Server, ChoosesTheCertificateByName) {
  const auto context = server_context({issue({"default.example"}), issue({"*.example.org"}), issue({"a.example.org"})});
  EXPECT_TRUE(answer(*context, {.name = "default.example"}).is_for("default.example"));
  EXPECT_TRUE(answer(*context, {.name = "b.example.org"}).is_for("any.example.org"));
  const Answer exact = answer(*context, {.name = "A.Example.ORG"});
  EXPECT_TRUE(exact.is_for("a.example.org"));
  EXPECT_FALSE(exact.is_for("any.example.org")) << "an exact name goes before a wildcard";
}

TEST(Server, TakesANameWithTheDotOfTheRootForTheName) {
  const auto context = server_context({issue({"default.example"}), issue({"*.example.org"}), issue({"a.example.org"})});
  EXPECT_TRUE(answer(*context, {.name = "a.example.org."}).is_for("a.example.org"));
  EXPECT_TRUE(answer(*context, {.name = "b.example.org."}).is_for("any.example.org"));
}

TEST(Server, AnswersWithTheFirstCertificateWhenNoNameFits) {
  const auto context = server_context({issue({"default.example"}), issue({"*.example.org"})});
  for (const char* name : {"", "elsewhere.example", "a.b.example.org", "example.org", ".example.org"}) {
    const Answer got = answer(*context, {.name = name});
    EXPECT_EQ(got.handshake.state, IoState::kDone) << name;
    EXPECT_TRUE(got.is_for("default.example")) << name;
  }
}

TEST(Server, OffersEcdsaBesideRsaForOneName) {
  using Key = CertificateRequest::Key;
  const auto context =
      server_context({issue({"both.example"}, Key::kRsa), issue({"ecdsa.example", "both.example"}, Key::kEcdsa)});
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    for (const char* name : {"both.example", ""}) {
      EXPECT_TRUE(answer(*context, {.name = name, .version = version, .signatures = "ECDSA+SHA256:RSA-PSS+SHA256"}).is_ecdsa());
      const Answer rsa = answer(*context, {.name = name, .version = version, .signatures = "RSA-PSS+SHA256"});
      ASSERT_EQ(rsa.handshake.state, IoState::kDone) << rsa.handshake.cause;
      EXPECT_FALSE(rsa.is_ecdsa());
    }
  }
  const Answer only = answer(*context, {.name = "ecdsa.example", .signatures = "RSA-PSS+SHA256"});
  EXPECT_EQ(only.handshake.state, IoState::kFailed) << "the RSA certificate does not bear this name";
}

TEST(Server, RefusesVersionsBefore12) {
  const auto context = server_context({localhost()});
  for (const int version : {TLS1_VERSION, TLS1_1_VERSION}) {
    const Answer got = answer(*context, {.name = "localhost", .version = version});
    EXPECT_EQ(got.handshake.state, IoState::kFailed);
    EXPECT_STREQ(got.handshake.cause, "no TLS version in common with the peer");
  }
}

TEST(Server, MayDemandVersion13) {
  ServerOptions options;
  options.tls13_only = true;
  const auto context = server_context({localhost()}, options);
  EXPECT_EQ(answer(*context, {.version = TLS1_2_VERSION}).handshake.state, IoState::kFailed);
  EXPECT_EQ(answer(*context, {.version = TLS1_3_VERSION}).handshake.state, IoState::kDone);
}

TEST(Server, AgreesOnAProtocolByAlpn) {
  const auto context = server_context({localhost(), issue({"other.example"})});
  for (const char* name : {"localhost", "other.example"}) {
    EXPECT_EQ(answer(*context, {.name = name, .protocols = {"h2", "http/1.1"}}).alpn, "http/1.1");
    EXPECT_EQ(answer(*context, {.name = name}).alpn, "");
    const Answer none = answer(*context, {.name = name, .protocols = {"h2"}});
    EXPECT_EQ(none.handshake.state, IoState::kFailed);
    EXPECT_STREQ(none.handshake.cause, "no ALPN protocol in common with the peer");
  }
}

}  // namespace
}  // namespace router::tls::test
