#include "tests/unit/tls/peers.h"

namespace router::tls::test {
namespace {

struct Shaken {
  IoResult client;
  std::string sni;  // what the server was asked for
};

/// A client of ours that wants `name`, at a server that has `certificate`.
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

}  // namespace
}  // namespace router::tls::test
