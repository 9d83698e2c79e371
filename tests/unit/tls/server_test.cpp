#include "tests/unit/tls/peers.h"

namespace router::tls::test {
namespace {

using std::chrono::seconds;
using Key = CertificateRequest::Key;

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

/// The answer of `context` to a client that sends `hello`.
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
  EXPECT_FALSE(exact.is_for("any.example.org")) << "an exact name takes precedence over a wildcard";
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
  EXPECT_EQ(only.handshake.state, IoState::kFailed) << "the RSA certificate does not have this name";
}

/// Certificates whose times are given in seconds from `kBegin`, and a clock that the test sets.
const std::chrono::sys_seconds kBegin = wall_clock();
std::chrono::sys_seconds scripted_now = kBegin;

CertificatePaths issue_for(int from, int until, std::vector<std::string> names, Key key = Key::kEcdsa) {
  const seconds passed = wall_clock() - kBegin;  // the authority counts from its own clock
  CertificateRequest request;
  request.names = std::move(names);
  request.key = key;
  request.begins = seconds(from) - passed;
  request.ends = seconds(until) - passed;
  return authority().issue(request);
}

/// The end of the certificate that the server sends at second `at`, in thousands of seconds from `kBegin`; -1: the handshake
/// failed.
long shown_end(ServerContext& context, int at, const Hello& hello) {
  scripted_now = kBegin + seconds(at);
  const Answer got = answer(context, hello);
  if (got.handshake.state != IoState::kDone) return -1;
  std::tm utc{};
  ASN1_TIME_to_tm(X509_get0_notAfter(got.certificate), &utc);
  const auto end = std::chrono::sys_seconds(seconds(timegm(&utc))) - kBegin;
  return (end.count() + 500) / 1000;  // in thousands, because issuing takes a moment
}

std::shared_ptr<ServerContext> scripted_context(const std::vector<CertificatePaths>& certificates) {
  ServerOptions options;
  options.now = [] { return scripted_now; };
  scripted_now = kBegin;
  return server_context(certificates, options);
}

/// The renewed certificate was configured beside the old one. The router sent the old one after its end, until a reload.
TEST(Server, ShowedACertificateThatWasOverAlthoughAnotherOfThatNameWasValid) {
  const auto context = scripted_context({issue_for(-9000, 5000, {"a.example"}), issue_for(2000, 9000, {"a.example"})});
  for (const char* name : {"a.example", "", "unknown.example"}) {
    EXPECT_EQ(shown_end(*context, 0, {.name = name}), 5) << name;
    EXPECT_EQ(shown_end(*context, 4000, {.name = name}), 5) << "both are valid: the first one is sent; " << name;
    EXPECT_EQ(shown_end(*context, 5100, {.name = name}), 9) << name;
    EXPECT_EQ(shown_end(*context, 9900, {.name = name}), 9) << "none is valid: the one that ends last is sent; " << name;
    EXPECT_EQ(shown_end(*context, 4000, {.name = name}), 5) << "a clock may be set back; " << name;
  }
}

TEST(Server, ShowedACertificateThatHadNotBegunAlthoughAnotherOfThatNameWasValid) {
  const auto context = scripted_context({issue_for(3000, 9000, {"a.example"}), issue_for(-9000, 5000, {"a.example"})});
  EXPECT_EQ(shown_end(*context, 0, {.name = "a.example"}), 5);
  EXPECT_EQ(shown_end(*context, 3100, {.name = "a.example"}), 9);
}

TEST(Server, ShowsTheCertificateThatComesWhereTheOtherIsOver) {
  const auto context = scripted_context({issue_for(-9000, -1000, {"a.example"}), issue_for(1000, 9000, {"a.example"})});
  EXPECT_EQ(shown_end(*context, 0, {.name = "a.example"}), 9) << "a client whose clock is ahead accepts it";
}

TEST(Server, ShowedACertificateThatWasOverAlthoughOneOfAnotherKeyWasValid) {
  const auto context =
      scripted_context({issue_for(-9000, 2000, {"a.example"}, Key::kEcdsa), issue_for(-9000, 9000, {"a.example"}, Key::kRsa)});
  const std::string both = "ECDSA+SHA256:RSA-PSS+SHA256";
  EXPECT_EQ(shown_end(*context, 0, {.name = "a.example", .signatures = both}), 2);
  EXPECT_EQ(shown_end(*context, 2100, {.name = "a.example", .signatures = both}), 9);
  EXPECT_EQ(shown_end(*context, 9900, {.name = "a.example", .signatures = "ECDSA+SHA256"}), 2)
      << "if all have expired, all are offered";
}

TEST(Server, ShowsAWildcardThatIsValidWhereTheNamesOwnIsNot) {
  const auto context = scripted_context({issue_for(1000, 2000, {"a.b.example"}), issue_for(-9000, 9000, {"*.b.example"}),
                                         issue_for(-9000, 8000, {"other.example"})});
  EXPECT_EQ(shown_end(*context, 0, {.name = "a.b.example"}), 9);
  EXPECT_EQ(shown_end(*context, 1100, {.name = "a.b.example"}), 2);
  EXPECT_EQ(shown_end(*context, 2100, {.name = "a.b.example"}), 9);
  EXPECT_EQ(shown_end(*context, 9100, {.name = "a.b.example"}), 2) << "neither is valid: the one with the exact name is sent";
  EXPECT_EQ(shown_end(*context, 9100, {.name = "c.b.example"}), 9);
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
