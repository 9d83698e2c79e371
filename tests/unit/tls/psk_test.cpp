#include "tls/psk.h"

#include <openssl/crypto.h>

#include "tests/unit/tls/peers.h"

namespace router::tls::test {
namespace {

const std::string kFirst(64, 'a');
const std::string kSecond = "00112233445566778899AABBCCDDEEFF00112233445566778899aabbccddeeff";

PskKeys keys(const std::string& text) { return PskKeys::parse(text, "keys").value(); }

std::shared_ptr<PskServerContext> server_of(const std::string& text, PskPurpose purpose = PskPurpose::kLink) {
  return PskServerContext::make(keys(text), purpose, 1).value().front();
}
std::shared_ptr<PskClientContext> client_of(const std::string& text, PskPurpose purpose = PskPurpose::kLink) {
  return PskClientContext::make(keys(text), purpose, 1).value().front();
}

std::string mistake_in(const std::string& text) { return std::string(PskKeys::parse(text, "/etc/keys").status().message()); }

TEST(PskKeys, AreOneOrTwoLinesOfHexadecimalDigits) {
  EXPECT_EQ(keys(kFirst).size(), 1u);
  EXPECT_EQ(keys(kFirst + "\n" + kSecond).size(), 2u);
  EXPECT_EQ(keys(kFirst + "\r\n" + kSecond + "\r\n\n").size(), 2u);
  EXPECT_EQ(keys(kSecond)[0][1], 0x11);
  EXPECT_EQ(keys(kSecond)[0][31], 0xff);
  EXPECT_EQ(keys(kSecond)[0][10], 0xaa) << "capital letters are digits, too";
}

TEST(PskKeys, TellFileAndLineOfAMistakeAndNothingOfTheKey) {
  EXPECT_EQ(mistake_in(""), "/etc/keys: it has no key");
  EXPECT_EQ(mistake_in("\n\n"), "/etc/keys: it has no key");
  EXPECT_EQ(mistake_in(kFirst + "a"), "/etc/keys:1: a key is 64 hexadecimal digits (openssl rand -hex 32)");
  EXPECT_EQ(mistake_in(kFirst + "\n" + kSecond.substr(1) + "g"),
            "/etc/keys:2: a key is 64 hexadecimal digits (openssl rand -hex 32)");
  EXPECT_EQ(mistake_in("\n" + kFirst), "/etc/keys:1: a key is 64 hexadecimal digits (openssl rand -hex 32)");
  EXPECT_EQ(mistake_in(kFirst + "\n" + kSecond + "\n" + kFirst), "/etc/keys:3: there are more than two keys");
}

TEST(PskKeys, AreEqualOnlyInTheSameOrder) {
  EXPECT_TRUE(keys(kFirst + "\n" + kSecond) == keys(kFirst + "\n" + kSecond + "\n"));
  EXPECT_FALSE(keys(kFirst + "\n" + kSecond) == keys(kSecond + "\n" + kFirst));
  EXPECT_FALSE(keys(kFirst) == keys(kFirst + "\n" + kSecond));
}

TEST(PskKeys, AreAllInOthersInAnyOrder) {
  EXPECT_TRUE(keys(kFirst).all_in(keys(kSecond + "\n" + kFirst)));
  EXPECT_TRUE(keys(kFirst + "\n" + kSecond).all_in(keys(kSecond + "\n" + kFirst)));
  EXPECT_FALSE(keys(kFirst + "\n" + kSecond).all_in(keys(kSecond)));
  EXPECT_FALSE(keys(kFirst).all_in(keys(kSecond)));
}

class Psk : public testing::Test {
 protected:
  /// The handshake of one stream on either side.
  std::pair<IoResult, IoResult> meet(const PskClientContext& client, const PskServerContext& server) {
    const auto ends = socket_pair();
    client_ = Stream(runtime::Socket(shard_, ends[0]), client);
    server_ = Stream(runtime::Socket(shard_, ends[1]), server);
    return shake(client_, server_);
  }
  bool meets(const PskClientContext& client, const PskServerContext& server) {
    const auto [ours, theirs] = meet(client, server);
    EXPECT_EQ(ours.state == IoState::kDone, theirs.state == IoState::kDone) << ours.cause << ", " << theirs.cause;
    return ours.state == IoState::kDone;
  }
  /// The answer of `server` to an OpenSSL client that `prepare` has set up; true: the handshake succeeded.
  bool admits(const PskServerContext& server, SSL_CTX* client) {
    const auto ends = socket_pair();
    server_ = Stream(runtime::Socket(shard_, ends[0]), server);
    RawPeer peer(ends[1], client, false);
    peer.shake();
    return shake(server_, peer).state == IoState::kDone;
  }

  TestShard shard_;
  Stream client_;
  Stream server_;
};

TEST_F(Psk, CarriesBytesBothWaysAfterAHandshakeOfTls13) {
  const auto client = client_of(kFirst);
  const auto server = server_of(kFirst);
  ASSERT_TRUE(meets(*client, *server));
  EXPECT_STREQ(client_.protocol(), "TLSv1.3");
  EXPECT_TRUE(client_.resumed()) << "so TLS calls a handshake with a PSK";
  write(client_, {"hello"});
  EXPECT_EQ(read_all(server_), "hello");
  write(server_, {"well"});
  EXPECT_EQ(read_all(client_), "well");
}

TEST_F(Psk, RefusesAnotherKeyOnEitherSide) {
  EXPECT_FALSE(meets(*client_of(kFirst), *server_of(kSecond)));
  EXPECT_FALSE(meets(*client_of(kSecond), *server_of(kFirst)));
}

TEST_F(Psk, ConnectsWithTheFirstKeyAndAcceptsBoth) {
  const auto both = server_of(kFirst + "\n" + kSecond);
  EXPECT_TRUE(meets(*client_of(kFirst), *both));
  EXPECT_TRUE(meets(*client_of(kSecond + "\n" + kFirst), *both));
  EXPECT_TRUE(meets(*client_of(kFirst + "\n" + kSecond), *server_of(kFirst)));
  EXPECT_FALSE(meets(*client_of(kSecond + "\n" + kFirst), *server_of(kFirst))) << "the first dials, and it has only the second";
}

TEST_F(Psk, RefusesAConnectionForAnotherPurpose) {
  EXPECT_TRUE(meets(*client_of(kFirst, PskPurpose::kRequests), *server_of(kFirst, PskPurpose::kRequests)));
  EXPECT_FALSE(meets(*client_of(kFirst, PskPurpose::kLink), *server_of(kFirst, PskPurpose::kRequests)));
  EXPECT_FALSE(meets(*client_of(kFirst, PskPurpose::kRequests), *server_of(kFirst, PskPurpose::kLink)));
}

TEST_F(Psk, RefusesAClientWithoutAKey) {
  const auto server = server_of(kFirst);
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    const Owned<SSL_CTX> client(SSL_CTX_new(TLS_client_method()));
    SSL_CTX_set_verify(client.get(), SSL_VERIFY_NONE, nullptr);
    SSL_CTX_set_max_proto_version(client.get(), version);
    EXPECT_FALSE(admits(*server, client.get())) << version;
  }
}

TEST_F(Psk, RefusesAServerWithACertificate) {
  const auto client = client_of(kFirst);
  const auto server = server_context({localhost()});
  const auto ends = socket_pair();
  client_ = Stream(runtime::Socket(shard_, ends[0]), *client);
  server_ = Stream(runtime::Socket(shard_, ends[1]), *server);
  EXPECT_EQ(shake(client_, server_).first.state, IoState::kFailed);
}

TEST_F(Psk, AgreesOnAnEphemeralKeyWithAClientThatWouldDoWithout) {
  const auto server = server_of(kFirst);
  const auto client = client_of(kFirst);
  SSL_CTX_set_options(client->get(), SSL_OP_ALLOW_NO_DHE_KEX);
  ASSERT_TRUE(admits(*server, client->get()));
}

TEST_F(Psk, SendsNoTicket) {
  const auto server = server_of(kFirst);
  const auto client = client_of(kFirst);
  const auto ends = socket_pair();
  server_ = Stream(runtime::Socket(shard_, ends[0]), *server);
  RawPeer peer(ends[1], client->get(), false);
  peer.shake();
  ASSERT_EQ(shake(server_, peer).state, IoState::kDone);
  EXPECT_EQ(peer.receive(), "") << "a ticket would come after the handshake";
}

TEST_F(Psk, KeepsConnectionsWhenTheKeysAreReplaced) {
  const auto old_client = client_of(kFirst);
  const auto old_server = server_of(kFirst);
  ASSERT_TRUE(meets(*old_client, *old_server));
  Stream before_client = std::move(client_);
  Stream before_server = std::move(server_);
  const auto new_server = server_of(kSecond);
  EXPECT_FALSE(meets(*old_client, *new_server));
  write(before_client, {"still"});
  EXPECT_EQ(read_all(before_server), "still");
}

}  // namespace
}  // namespace router::tls::test
