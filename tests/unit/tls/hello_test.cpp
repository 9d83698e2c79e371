#include <openssl/ssl.h>

#include "tests/unit/tls/peers.h"
#include "tls/hello_buffer.h"

namespace router::tls::test {
namespace {

using State = HelloBuffer::State;

std::string bytes(std::initializer_list<int> values) {
  std::string text;
  for (const int value : values) text.push_back(static_cast<char>(value));
  return text;
}
std::string record(std::string_view fragment, int type = SSL3_RT_HANDSHAKE) {
  const int size = static_cast<int>(fragment.size());
  return bytes({type, 3, 1, size >> 8, size & 255}).append(fragment);
}
std::string hello_header(std::size_t size) {
  const int length = static_cast<int>(size);
  return bytes({SSL3_MT_CLIENT_HELLO, length >> 16, length >> 8 & 255, length & 255});
}
std::string hello(std::size_t size) { return hello_header(size).append(size, 'h'); }

std::string take_all(HelloBuffer& buffer) {
  std::string taken;
  std::array<char, 7> piece;
  for (std::size_t size; (size = buffer.take(piece)) > 0;) taken.append(piece.data(), size);
  return taken;
}

TEST(HelloBuffer, GivesNothingBeforeTheWholeHelloHasCome) {
  const std::string all = record(hello(500));
  HelloBuffer buffer;
  for (std::size_t at = 0; at + 1 < all.size(); ++at) {
    ASSERT_EQ(buffer.append({&all[at], 1}), State::kPartial) << at;
    ASSERT_EQ(take_all(buffer), "");
  }
  EXPECT_EQ(buffer.append({&all.back(), 1}), State::kWhole);
  EXPECT_EQ(take_all(buffer), all);
}

TEST(HelloBuffer, JoinsAHelloOfSeveralRecords) {
  const std::string message = hello(HelloBuffer::kMessageMax);
  std::string all = record(message.substr(0, 1)) + record(message.substr(1, 2)) + record(message.substr(3, 100));
  all += record(message.substr(103));
  HelloBuffer buffer;
  EXPECT_EQ(buffer.append(all), State::kWhole);
  EXPECT_EQ(take_all(buffer), all);
}

TEST(HelloBuffer, KeepsWhatComesBehindTheHello) {
  HelloBuffer buffer;
  EXPECT_EQ(buffer.append(record(hello(40)) + "behind"), State::kWhole);
  EXPECT_EQ(take_all(buffer), record(hello(40)));
  std::array<char, 16> rest;
  EXPECT_EQ(buffer.take_rest(rest), 6u);
}

TEST(HelloBuffer, TakesTheSecondHelloBehindOtherRecords) {
  const std::string change = record(bytes({1}), SSL3_RT_CHANGE_CIPHER_SPEC);
  HelloBuffer buffer;
  ASSERT_EQ(buffer.append(record(hello(40)) + change + record(hello(50)).substr(0, 20)), State::kWhole);
  EXPECT_TRUE(buffer.is_hello());
  take_all(buffer);
  buffer.expect_another();
  EXPECT_EQ(buffer.state(), State::kWhole);
  EXPECT_FALSE(buffer.is_hello());
  EXPECT_EQ(take_all(buffer), change);
  buffer.expect_another();
  EXPECT_EQ(buffer.state(), State::kPartial);
  EXPECT_EQ(buffer.append(record(hello(50)).substr(20)), State::kWhole);
  EXPECT_TRUE(buffer.is_hello());
  EXPECT_EQ(take_all(buffer), record(hello(50)));
}

/// The router sent an alert, which a browser or curl shows as "empty reply" or not at all.
TEST(HelloBuffer, TookARequestOfPlainHttpForNoise) {
  for (const std::string_view line :
       {"GET /", "HEAD /", "POST /", "PUT /", "PATCH /", "DELETE /", "OPTIONS *", "TRACE /", "CONNECT a", "CONNECT [", "FOO /",
        "M-SEARCH *", "VERSION-CONTROL /", "GET h", "GET H", "\r\nGET /", "\r\n\r\nHEAD /"}) {
    HelloBuffer buffer;
    for (const char& each : line.substr(0, line.size() - 1)) ASSERT_EQ(buffer.append({&each, 1}), State::kPartial) << line;
    EXPECT_FALSE(buffer.is_http());
    EXPECT_EQ(buffer.append({&line.back(), 1}), State::kRefused);
    EXPECT_TRUE(buffer.is_http()) << line;
    EXPECT_EQ(buffer.is_http_head(), line.ends_with("HEAD /")) << line;
    HelloBuffer whole;
    EXPECT_EQ(whole.append(std::string(line) + " HTTP/1.1\r\nHost: a\r\n\r\n"), State::kRefused);
    EXPECT_TRUE(whole.is_http()) << line;
  }
}

TEST(HelloBuffer, TakesNothingElseForHttp) {
  for (const std::string_view other :
       {"GEx", "get ", "SSH-2.0", "P\x16", "POST/", "GET\r", "GET  ", "GET a", "\n", "\r\r", "\r\n ", "\r\n\x16", " GET",
        "QUIT\r\n", "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", "\r\n\r\n\x01\r\nQUIT\n", "EHLO a.test\r\n", "HEADx"}) {
    HelloBuffer buffer;
    EXPECT_EQ(buffer.append(other), State::kRefused) << other;
    EXPECT_FALSE(buffer.is_http() || buffer.is_http_head()) << other;
    EXPECT_EQ(buffer.alert(), SSL_AD_UNEXPECTED_MESSAGE);
  }
  HelloBuffer buffer;
  EXPECT_EQ(buffer.append(record(hello_header(40)) + "GET / HTTP/1.1"), State::kRefused) << "after a record of TLS";
  EXPECT_FALSE(buffer.is_http());
}

TEST(HelloBuffer, WaitsForSoMuchOfARequestLineAndNoMore) {
  for (const std::string_view piece : {"A", "\r\n"}) {
    HelloBuffer buffer;
    std::size_t sent = piece.size();
    while (buffer.append(piece) == State::kPartial) sent += piece.size();
    EXPECT_EQ(sent, HelloBuffer::kHttpMax);
    EXPECT_FALSE(buffer.is_http());
  }
}

TEST(HelloBuffer, RefusesWhatIsNoHelloAsSoonAsItCanBeTold) {
  const std::vector<std::pair<std::string, int>> all{
      {"g", SSL_AD_UNEXPECTED_MESSAGE},                                                        // no method of HTTP
      {bytes({0x80, 0x2e}), SSL_AD_UNEXPECTED_MESSAGE},                                        // SSL 2
      {record(bytes({1}), SSL3_RT_CHANGE_CIPHER_SPEC), SSL_AD_UNEXPECTED_MESSAGE},             // before a ClientHello
      {bytes({SSL3_RT_HANDSHAKE, 2, 0, 1, 0}), SSL_AD_PROTOCOL_VERSION},                       // not a version of TLS
      {bytes({SSL3_RT_HANDSHAKE, 3, 1, 0, 0}), SSL_AD_RECORD_OVERFLOW},                        // empty
      {bytes({SSL3_RT_HANDSHAKE, 3, 1, 0x40, 1}), SSL_AD_RECORD_OVERFLOW},                     // 16 KB and a byte
      {record(bytes({SSL3_MT_FINISHED})), SSL_AD_UNEXPECTED_MESSAGE},                          // another handshake message
      {record(hello_header(HelloBuffer::kMessageMax + 1)), SSL_AD_ILLEGAL_PARAMETER},          // 9 bytes
      {record(hello(40) + hello_header(131000)), SSL_AD_UNEXPECTED_MESSAGE},                   // two in one record
      {record(bytes({1, 1})) + record(bytes({1}), SSL3_RT_ALERT), SSL_AD_UNEXPECTED_MESSAGE},  // inside a ClientHello
  };
  for (const auto& [sent, alert] : all) {
    HelloBuffer buffer;
    EXPECT_EQ(buffer.append(sent), State::kRefused) << alert;
    EXPECT_EQ(buffer.alert(), alert);
    EXPECT_STRNE(buffer.cause(), "");
    EXPECT_EQ(buffer.append("x"), State::kRefused);
    EXPECT_EQ(take_all(buffer), "");
  }
}

TEST(HelloBuffer, HoldsNoMoreThanItsBoundOfManySmallRecords) {
  HelloBuffer buffer;
  ASSERT_EQ(buffer.append(record(hello_header(HelloBuffer::kMessageMax))), State::kPartial);
  std::size_t sent = 9;
  while (buffer.append(record("h")) == State::kPartial) sent += 6;
  EXPECT_LE(sent, HelloBuffer::kBytesMax);
  EXPECT_EQ(buffer.state(), State::kRefused);
}

/// The router's server and a client of plain OpenSSL, whose first key share is of a group that the server does not know. The
/// server asks for another group and for a second ClientHello.
class RetryRequest : public ::testing::Test {
 protected:
  RetryRequest() { SSL_set1_groups_list(client_.ssl(), "P-521:P-256"); }

  TestShard shard_;
  std::shared_ptr<ServerContext> context_ = server_context({localhost()});
  Owned<SSL_CTX> client_context_{SSL_CTX_new(TLS_client_method())};
  std::array<int, 2> ends_ = socket_pair();
  Stream server_{runtime::Socket(shard_, ends_[0]), *context_};
  RawPeer client_{ends_[1], client_context_.get(), false};
};

TEST_F(RetryRequest, IsAnsweredWithASecondHello) {
  const IoResult shaken = shake(server_, client_);
  ASSERT_EQ(shaken.state, IoState::kDone) << shaken.cause;
  client_.write("question");
  client_.send();
  EXPECT_EQ(read_all(server_), "question");
}

TEST_F(RetryRequest, IsAnsweredByteForByte) {
  IoResult result;
  for (int turn = 0; turn < 4 && !(result.state == IoState::kDone && client_.shaken()); ++turn) {
    client_.receive();
    SSL_do_handshake(client_.ssl());
    for (const char byte : client_.take_output()) {
      client_.send({&byte, 1});
      result = server_.handshake();
      ASSERT_NE(result.state, IoState::kFailed) << result.cause;
    }
  }
  EXPECT_EQ(result.state, IoState::kDone);
}

TEST_F(RetryRequest, DoesNotLetALargeSecondHelloBeAnnounced) {
  client_.shake();
  ASSERT_EQ(server_.handshake().state, IoState::kBlocked);
  ASSERT_FALSE(client_.receive().empty());
  client_.send(record(hello_header(131000)));
  const IoResult result = server_.handshake();
  EXPECT_EQ(result.state, IoState::kFailed);
  EXPECT_STREQ(result.cause, "the ClientHello is too large");
  const std::string alert = client_.receive();
  EXPECT_EQ(alert, bytes({SSL3_RT_ALERT, 3, 3, 0, 2, SSL3_AL_FATAL, SSL_AD_ILLEGAL_PARAMETER}));
}

TEST_F(RetryRequest, DoesNotLetALargeSecondHelloComeWithTheFirst) {
  SSL_do_handshake(client_.ssl());
  client_.send(client_.take_output() + record(hello_header(131000)));
  const IoResult result = server_.handshake();
  EXPECT_EQ(result.state, IoState::kFailed);
  EXPECT_STREQ(result.cause, "the ClientHello is too large");
}

TEST(ServerStream, TellsAClientWhyItsHelloIsRefused) {
  TestShard shard;
  const auto context = server_context({localhost()});
  const auto ends = socket_pair();
  Stream server(runtime::Socket(shard, ends[0]), *context);
  const Owned<SSL_CTX> clients(SSL_CTX_new(TLS_client_method()));
  RawPeer client(ends[1], clients.get(), false);
  client.send(record(hello_header(131000)));
  EXPECT_STREQ(server.handshake().cause, "the ClientHello is too large");
  EXPECT_EQ(client.receive(), bytes({SSL3_RT_ALERT, 3, 3, 0, 2, SSL3_AL_FATAL, SSL_AD_ILLEGAL_PARAMETER}));
  EXPECT_EQ(server.handshake().state, IoState::kFailed);
}

TEST(ServerStream, IsNobodyBeforeItHasHeardItsClient) {
  TestShard shard;
  const auto context = server_context({localhost()});
  const auto ends = socket_pair();
  Stream server(runtime::Socket(shard, ends[0]), *context);
  std::array<char, 8> room;
  EXPECT_EQ(server.read(room).state, IoState::kBlocked);
  EXPECT_EQ(write(server, {"x"}).state, IoState::kFailed);
  EXPECT_STREQ(server.protocol(), "");
  EXPECT_EQ(server.alpn(), "");
  EXPECT_FALSE(server.resumed());
  server.arm_read();
  server.shutdown_write();
  server.close();
  ::close(ends[1]);
}

}  // namespace
}  // namespace router::tls::test
