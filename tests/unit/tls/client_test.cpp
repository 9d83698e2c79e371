#include <fstream>
#include <iterator>

#include "tests/unit/tls/peers.h"

namespace router::tls::test {
namespace {

struct Shaken {
  IoResult client;
  std::string sni;  // the name that the client sent to the server
};

/// The router's client connects with `name` to a server that has `certificate`.
Shaken connect(ClientContext& client_side, const CertificatePaths& certificate, const std::string& name) {
  TestShard shard;
  const Owned<SSL_CTX> server(SSL_CTX_new(TLS_server_method()));
  SSL_CTX_use_certificate_chain_file(server.get(), certificate.certificate_file.c_str());
  SSL_CTX_use_PrivateKey_file(server.get(), certificate.key_file.c_str(), SSL_FILETYPE_PEM);
  const auto ends = socket_pair();
  Stream stream(runtime::Socket(shard, ends[0]), client_side, name);
  RawPeer peer(ends[1], server.get(), true);
  Shaken shaken;
  shaken.client = shake(stream, peer);
  const char* sni = SSL_get_servername(peer.ssl(), TLSEXT_NAMETYPE_host_name);
  shaken.sni = sni != nullptr ? sni : "";
  return shaken;
}

CertificatePaths issue(TestAuthority& from, std::vector<std::string> names) {
  CertificateRequest request;
  request.names = std::move(names);
  return from.issue(request);
}

TEST(Client, AcceptsACertificateForItsName) {
  const auto context = client_context(authority().ca_file());
  const Shaken exact = connect(*context, issue(authority(), {"pod.example"}), "pod.example");
  EXPECT_EQ(exact.client.state, IoState::kDone) << exact.client.cause;
  EXPECT_EQ(exact.sni, "pod.example");
  EXPECT_EQ(connect(*context, issue(authority(), {"*.pods.example"}), "a.pods.example").client.state, IoState::kDone);
  EXPECT_EQ(connect(*context, issue(authority(), {"pod.example"}), "pod.example.").client.state, IoState::kDone);
}

TEST(Client, AcceptsACertificateForItsAddressAndSendsNoName) {
  const auto context = client_context(authority().ca_file());
  for (const char* address : {"127.0.0.1", "::1"}) {
    const Shaken shaken = connect(*context, issue(authority(), {address}), address);
    EXPECT_EQ(shaken.client.state, IoState::kDone) << shaken.client.cause;
    EXPECT_EQ(shaken.sni, "");
  }
}

TEST(Client, RefusesACertificateForAnotherName) {
  const auto context = client_context(authority().ca_file());
  const std::vector<std::pair<std::string, std::string>> cases{{"other.example", "pod.example"},
                                                               {"*.pods.example", "a.b.pods.example"},
                                                               {"10.0.0.1", "10.0.0.2"},
                                                               {"pod.example", "10.0.0.1"}};
  for (const auto& [certified, wanted] : cases) {
    const Shaken shaken = connect(*context, issue(authority(), {certified}), wanted);
    EXPECT_EQ(shaken.client.state, IoState::kFailed) << certified;
    EXPECT_STREQ(shaken.client.cause, "the peer's certificate is for another name");
  }
}

TEST(Client, RefusesAnUnknownAuthority) {
  TestAuthority stranger;
  const auto context = client_context(authority().ca_file());
  const Shaken shaken = connect(*context, issue(stranger, {"pod.example"}), "pod.example");
  EXPECT_EQ(shaken.client.state, IoState::kFailed);
  EXPECT_STREQ(shaken.client.cause, "the peer's certificate is from an unknown authority");
}

TEST(Client, RefusesAnUnknownAuthorityWithTheSystemsTrustStore) {
  const auto context = client_context("");
  const Shaken shaken = connect(*context, issue(authority(), {"pod.example"}), "pod.example");
  EXPECT_EQ(shaken.client.state, IoState::kFailed);
  EXPECT_STREQ(shaken.client.cause, "the peer's certificate is from an unknown authority");
}

TEST(Client, RefusesAnExpiredCertificate) {
  CertificateRequest request;
  request.names = {"pod.example"};
  request.ends = std::chrono::seconds(-60);
  const auto context = client_context(authority().ca_file());
  const Shaken shaken = connect(*context, authority().issue(request), "pod.example");
  EXPECT_EQ(shaken.client.state, IoState::kFailed);
  EXPECT_STREQ(shaken.client.cause, "the peer's certificate has expired");
}

TEST(Client, RefusesToVerifyForNoName) {
  const auto context = client_context(authority().ca_file());
  for (const char* name : {"", "."}) {
    const Shaken shaken = connect(*context, issue(authority(), {"pod.example"}), name);
    EXPECT_EQ(shaken.client.state, IoState::kFailed) << "an empty name must not mean any name";
  }
}

TEST(Client, AcceptsAnythingWhenToldNotToVerify) {
  TestAuthority stranger;
  const auto context = client_context("", false);
  EXPECT_EQ(connect(*context, issue(stranger, {"other.example"}), "pod.example").client.state, IoState::kDone);
  EXPECT_EQ(connect(*context, issue(stranger, {"other.example"}), "").client.state, IoState::kDone);
}

/// For a deployment whose file of authorities was never read. Its replicas must not be used without verification.
TEST(Client, TrustsNobodyWhereNoAuthorityIsKnown) {
  ClientOptions options;
  options.trust_nobody = true;
  for (const bool verify : {true, false}) {
    options.verify = verify;
    const auto context = ClientContext::make(options, 1).value().front();
    EXPECT_EQ(connect(*context, issue(authority(), {"pod.example"}), "pod.example").client.state, IoState::kFailed);
  }
}

TEST(Client, RefusesVersionsBefore12) {
  TestShard shard;
  const auto context = client_context(authority().ca_file());
  const Owned<SSL_CTX> server(SSL_CTX_new(TLS_server_method()));
  SSL_CTX_set_security_level(server.get(), 0);
  SSL_CTX_set_min_proto_version(server.get(), TLS1_VERSION);
  SSL_CTX_set_max_proto_version(server.get(), TLS1_1_VERSION);
  const auto ends = socket_pair();
  Stream stream(runtime::Socket(shard, ends[0]), *context, "localhost");
  RawPeer peer(ends[1], server.get(), true);
  const IoResult result = shake(stream, peer);
  EXPECT_EQ(result.state, IoState::kFailed);
  EXPECT_STREQ(result.cause, "no TLS version in common with the peer");
}

std::string content_of(const std::string& file) {
  std::ifstream stream(file);
  return std::string(std::istreambuf_iterator<char>(stream), {});
}

/// The first DNS name of a certificate.
std::string first_name(X509* certificate) {
  const Owned<GENERAL_NAMES> names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  if (!names || sk_GENERAL_NAME_num(names.get()) == 0) return "";
  const ASN1_STRING* name = sk_GENERAL_NAME_value(names.get(), 0)->d.dNSName;
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(name)), static_cast<std::size_t>(ASN1_STRING_length(name))};
}

/// The client's name as a server sees it that requires a certificate of the test's authority; empty if the server refuses.
std::string client_as_seen(const ClientOptions& options) {
  const auto contexts = ClientContext::make(options, 1);
  if (!contexts.ok()) throw std::runtime_error(std::string(contexts.status().message()));
  TestShard shard;
  const Owned<SSL_CTX> server(SSL_CTX_new(TLS_server_method()));
  SSL_CTX_use_certificate_chain_file(server.get(), localhost().certificate_file.c_str());
  SSL_CTX_use_PrivateKey_file(server.get(), localhost().key_file.c_str(), SSL_FILETYPE_PEM);
  SSL_CTX_load_verify_locations(server.get(), authority().ca_file().c_str(), nullptr);
  SSL_CTX_set_verify(server.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  const auto ends = socket_pair();
  Stream stream(runtime::Socket(shard, ends[0]), *contexts->front(), "localhost");
  RawPeer peer(ends[1], server.get(), true);
  shake(stream, peer);
  if (!peer.shaken()) return "";
  const Owned<X509> seen(SSL_get1_peer_certificate(peer.ssl()));
  return seen ? first_name(seen.get()) : "";
}

TEST(Client, TrustsAnAuthorityThatIsInMemoryAndNoOther) {
  TestAuthority stranger;
  for (const bool trusted : {true, false}) {
    ClientOptions options;
    options.ca_file = "/absent";  // the client must not read this file
    options.ca = PemText{"the cluster's ca", content_of(trusted ? authority().ca_file() : stranger.ca_file())};
    const auto contexts = ClientContext::make(options, 1);
    ASSERT_TRUE(contexts.ok()) << contexts.status();
    const Shaken shaken = connect(*contexts->front(), localhost(), "localhost");
    EXPECT_EQ(shaken.client.state, trusted ? IoState::kDone : IoState::kFailed);
  }
}

TEST(Client, ShowsItsCertificate) {
  const CertificatePaths own = issue(authority(), {"router.example"});
  ClientOptions options;
  options.ca_file = authority().ca_file();
  EXPECT_EQ(client_as_seen(options), "") << "the server requires a certificate";
  options.certificate = ClientCertificate{{"certificate", content_of(own.certificate_file)}, {"key", content_of(own.key_file)}};
  EXPECT_EQ(client_as_seen(options), "router.example");
}

TEST(Client, RefusesACertificateWithoutItsKeyAndTellsNothingOfTheKey) {
  const CertificatePaths own = issue(authority(), {"router.example"});
  const std::string other_key = content_of(localhost().key_file);
  const std::vector<std::pair<ClientCertificate, std::string>> cases{
      {{{"the certificate", "none"}, {"the key", other_key}},
       "the certificate: holds no certificate in PEM (-----BEGIN CERTIFICATE-----)"},
      {{{"the certificate", content_of(own.certificate_file)}, {"the key", "secret"}},
       "the key: holds no private key in PEM, or one that is malformed or encrypted"},
      {{{"the certificate", content_of(own.certificate_file)}, {"the key", other_key}},
       "the key: the private key does not belong to the first certificate in the certificate"}};
  for (const auto& [certificate, message] : cases) {
    ClientOptions options;
    options.certificate = certificate;
    EXPECT_EQ(ClientContext::make(options, 1).status().message(), message);
  }
}

}  // namespace
}  // namespace router::tls::test
