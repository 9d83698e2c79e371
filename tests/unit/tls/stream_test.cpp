#include "tls/stream.h"

#include <malloc.h>

#include <random>

#include "tests/unit/tls/peers.h"

namespace router::tls::test {
namespace {

std::string some_bytes(std::size_t size) {
  std::mt19937 random(static_cast<unsigned>(size));
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

/// A client and a server of the router's, connected. The server has the certificate `localhost()`.
class TlsStream : public ::testing::TestWithParam<int> {
 protected:
  TlsStream() {
    SSL_CTX_set_max_proto_version(client_context_->get(), GetParam());
    const auto ends = socket_pair();
    client_ = Stream(runtime::Socket(shard_, ends[0]), *client_context_, "localhost");
    server_ = Stream(runtime::Socket(shard_, ends[1]), *server_context_);
  }
  void connect() {
    const auto [client, server] = shake(client_, server_);
    ASSERT_EQ(client.state, IoState::kDone) << client.cause;
    ASSERT_EQ(server.state, IoState::kDone) << server.cause;
  }

  TestShard shard_;
  std::shared_ptr<ServerContext> server_context_ = server_context({localhost()});
  std::shared_ptr<ClientContext> client_context_ = client_context(authority().ca_file());
  Stream client_;
  Stream server_;
};

INSTANTIATE_TEST_SUITE_P(Versions, TlsStream, ::testing::Values(TLS1_2_VERSION, TLS1_3_VERSION),
                         [](const auto& version) { return version.param == TLS1_2_VERSION ? "Tls12" : "Tls13"; });

TEST_P(TlsStream, ShakesHandsAndTellsTheVersion) {
  connect();
  EXPECT_STREQ(server_.protocol(), GetParam() == TLS1_2_VERSION ? "TLSv1.2" : "TLSv1.3");
  EXPECT_EQ(server_.alpn(), "http/1.1");
  EXPECT_EQ(client_.alpn(), "http/1.1");
  EXPECT_FALSE(server_.resumed());
}

TEST_P(TlsStream, CarriesBytesBothWays) {
  connect();
  EXPECT_EQ(write(client_, {"ping"}).state, IoState::kDone);
  EXPECT_EQ(read_all(server_), "ping");
  const IoResult wrote = write(server_, {"head ", "body"});
  EXPECT_EQ(wrote.state, IoState::kDone);
  EXPECT_EQ(wrote.bytes, 9u);
  EXPECT_EQ(read_all(client_), "head body");
}

TEST_P(TlsStream, CarriesMegabytesBothWaysAtOnceThroughSmallSockets) {
  connect();
  const std::string up = some_bytes(3'000'001);
  const std::string down = some_bytes(2'500'003);
  std::string_view up_left = up;
  std::string_view down_left = down;
  std::string up_got;
  std::string down_got;
  int blocked = 0;
  const auto give = [&blocked](Stream& stream, std::string_view& left) {
    const IoResult wrote = left.empty()
                               ? write(stream, {})
                               : write(stream, {left.substr(0, 100), left.substr(std::min<std::size_t>(100, left.size()))});
    ASSERT_TRUE(wrote.state == IoState::kDone || wrote.state == IoState::kBlocked) << wrote.cause;
    if (wrote.state == IoState::kBlocked) ++blocked;
    left.remove_prefix(wrote.bytes);
  };
  for (int turn = 0; turn < 100000 && (up_got.size() < up.size() || down_got.size() < down.size()); ++turn) {
    give(client_, up_left);
    give(server_, down_left);
    up_got += read_all(server_);
    down_got += read_all(client_);
  }
  EXPECT_TRUE(up_got == up);
  EXPECT_TRUE(down_got == down);
  EXPECT_GT(blocked, 10);
}

TEST_P(TlsStream, TakesNothingMoreWhileTheKernelHasNotTakenWhatWasEncrypted) {
  connect();
  const std::string body = some_bytes(Stream::kTurnBytes);
  std::size_t sent = 0;
  for (;;) {
    const IoResult wrote = write(client_, {body});
    ASSERT_EQ(wrote.state, IoState::kBlocked);
    sent += wrote.bytes;
    if (wrote.bytes == 0) break;
  }
  EXPECT_EQ(write(client_, {}).state, IoState::kBlocked);  // the peer has not read
  EXPECT_EQ(sent % body.size(), 0u);
  std::size_t got = 0;
  bool flushed = false;
  for (int turn = 0; turn < 1000 && got < sent; ++turn) {
    got += read_all(server_).size();
    flushed = write(client_, {}).state == IoState::kDone;
  }
  EXPECT_EQ(got, sent);
  EXPECT_TRUE(flushed);
}

TEST_P(TlsStream, TakesNoMoreThanOneTurnsBytesInAWrite) {
  connect();
  const std::string body = some_bytes(Stream::kTurnBytes + 1);
  const IoResult wrote = write(client_, {body});
  EXPECT_EQ(wrote.state, IoState::kBlocked);
  EXPECT_EQ(wrote.bytes, Stream::kTurnBytes);
}

TEST_P(TlsStream, EndsWithCloseNotifyAfterTheLastBytes) {
  connect();
  write(client_, {"last words"});
  client_.shutdown_write();
  IoResult last;
  EXPECT_EQ(read_all(server_, &last), "last words");
  EXPECT_EQ(last.state, IoState::kEof);
  EXPECT_EQ(read_all(server_, &last), "");
  EXPECT_EQ(last.state, IoState::kEof);
  // Half-closed: the other direction stays open.
  EXPECT_EQ(write(server_, {"answer"}).state, IoState::kDone);
  EXPECT_EQ(read_all(client_), "answer");
}

TEST_P(TlsStream, TellsAnEndWithoutCloseNotifyFromAnOrderlyOne) {
  connect();
  write(client_, {"cut here"});
  EXPECT_EQ(read_all(client_), "");  // a close with unread bytes would be a reset
  client_.close();
  IoResult last;
  EXPECT_EQ(read_all(server_), "cut here");
  EXPECT_EQ(read_all(server_, &last), "");
  EXPECT_EQ(last.state, IoState::kFailed);
  EXPECT_STREQ(last.cause, "the peer closed without close_notify");
}

TEST_P(TlsStream, DoesNotTakeAnAlertForAnOrderlyEndWhenItsOwnSideIsShutTwice) {
  connect();
  const std::string damaged = "\x17\x03\x03" + std::string("\0\x20", 2) + std::string(32, 'x');
  ASSERT_EQ(::send(server_.socket().descriptor(), damaged.data(), damaged.size(), 0), static_cast<ssize_t>(damaged.size()));
  server_.shutdown_write();
  IoResult last;
  read_all(client_, &last);
  EXPECT_EQ(last.state, IoState::kFailed);  // the client sends an alert about it
  server_.shutdown_write();
  read_all(server_, &last);
  EXPECT_EQ(last.state, IoState::kFailed);
}

TEST_P(TlsStream, TellsAFailureBehindTheBytesInFrontOfIt) {
  connect();
  write(client_, {"first"});
  ASSERT_EQ(client_.socket().write(std::string_view("this is no TLS record at all")).state, IoState::kDone);
  IoResult last;
  EXPECT_EQ(read_all(server_, &last), "first");
  EXPECT_EQ(last.state, IoState::kFailed);
  EXPECT_NE(std::string(last.cause), "");
}

TEST_P(TlsStream, GoesOnAfterBeingMoved) {
  connect();
  Stream moved = std::move(server_);
  write(client_, {"to the new place"});
  EXPECT_EQ(read_all(moved), "to the new place");
  EXPECT_TRUE(moved.is_tls());
}

TEST_P(TlsStream, IsSafeToUseOnceClosed) {
  connect();
  write(client_, {"never read"});
  server_.close();
  server_.close();
  server_.arm_read();
  server_.arm_write();
  server_.shutdown_write();
  std::array<char, 16> bytes;
  EXPECT_EQ(server_.read(bytes).state, IoState::kFailed);
  EXPECT_EQ(server_.handshake().state, IoState::kDone);
  EXPECT_EQ(write(server_, {"x"}).state, IoState::kFailed);
}

TEST_P(TlsStream, NeverTouchesADescriptorThatBelongsToSomebodyElseByNow) {
  connect();
  const int descriptor = server_.socket().descriptor();
  server_.socket().close();  // without a call of the stream, as `reset` and `release` do
  const auto others = socket_pair();
  ASSERT_TRUE(others[0] == descriptor || others[1] == descriptor) << "the kernel did not reuse the number";
  const int far = others[0] == descriptor ? others[1] : others[0];
  ASSERT_EQ(::send(far, "private", 7, 0), 7);
  std::array<char, 16> bytes;
  EXPECT_EQ(server_.read(bytes).state, IoState::kFailed);
  EXPECT_EQ(write(server_, {"x"}).state, IoState::kFailed);
  EXPECT_EQ(::recv(descriptor, bytes.data(), bytes.size(), 0), 7);
  EXPECT_LT(::recv(far, bytes.data(), bytes.size(), 0), 0);
  ::close(others[0]);
  ::close(others[1]);
}

TEST_P(TlsStream, WakesForBytesThatAreAlreadyInside) {
  connect();
  CountingWaker waker;
  server_.socket().set_waker(&waker);
  write(client_, {"abc"});
  write(client_, {"def"});  // a second record that arrives with the first one
  std::array<char, 2> two;
  ASSERT_EQ(server_.read(two).state, IoState::kDone);
  server_.arm_read();
  EXPECT_EQ(waker.count, 0) << "only the loop wakes the owner";
  shard_.poll();
  EXPECT_EQ(waker.count, 1);
  std::array<char, 1> one;
  ASSERT_EQ(server_.read(one).state, IoState::kDone);  // the first record is used up, and the second not begun
  server_.arm_read();
  shard_.poll();
  EXPECT_EQ(waker.count, 2);
  EXPECT_EQ(read_all(server_), "def");
  server_.arm_read();
  shard_.poll();
  EXPECT_EQ(waker.count, 2) << "no bytes are left";
  write(client_, {"g"});
  shard_.poll();
  EXPECT_EQ(waker.count, 3);
}

TEST_P(TlsStream, WakesForAnEndThatIsAlreadyInside) {
  connect();
  CountingWaker waker;
  server_.socket().set_waker(&waker);
  write(client_, {"abc"});
  client_.shutdown_write();
  std::array<char, 3> exactly;
  ASSERT_EQ(server_.read(exactly).state, IoState::kDone);
  server_.arm_read();
  shard_.poll();
  EXPECT_EQ(waker.count, 1);
  EXPECT_EQ(server_.read(exactly).state, IoState::kEof);
}

TEST_P(TlsStream, FinishesAHandshakeWhoseRequestCameWithItsLastMessage) {
  for (int turn = 0; turn < 10 && client_.handshake().state != IoState::kDone; ++turn) {
    if (GetParam() == TLS1_2_VERSION || turn == 0) server_.handshake();
  }
  ASSERT_EQ(write(client_, {"early"}).state, IoState::kDone);
  ASSERT_EQ(server_.handshake().state, IoState::kDone);
  CountingWaker waker;
  server_.socket().set_waker(&waker);
  server_.arm_read();
  shard_.poll();
  EXPECT_EQ(waker.count, 1);
  EXPECT_EQ(read_all(server_), "early");
}

#ifndef ROUTER_SANITIZED  // a sanitizer's heap cannot be measured
TEST(IdleStream, HoldsNoBuffers) {
  TestShard shard;
  const auto server = server_context({localhost()});
  const auto client = client_context(authority().ca_file());
  struct Pair {
    Stream client, server;
  };
  const auto talk = [&shard, &server, &client] {
    const auto ends = socket_pair();
    Pair pair{Stream(runtime::Socket(shard, ends[0]), *client, "localhost"), Stream(runtime::Socket(shard, ends[1]), *server)};
    shake(pair.client, pair.server);
    write(pair.client, {"request"});
    EXPECT_EQ(read_all(pair.server), "request");
    write(pair.server, {"answer"});
    EXPECT_EQ(read_all(pair.client), "answer");
    return pair;
  };
  talk();  // allocates what the thread keeps
  constexpr std::size_t kPairs = 50;
  std::vector<Pair> idle;
  idle.reserve(kPairs);
  const std::size_t before = ::mallinfo2().uordblks;
  for (std::size_t i = 0; i < kPairs; ++i) idle.push_back(talk());
  const std::size_t each = (::mallinfo2().uordblks - before) / kPairs;
  // The server's end takes 15 KB, the client's 19 KB, because it keeps the peer's certificate. Since OpenSSL 3.2 a connection
  // has objects of 4 KB for its record layers, and both ends together take 48 KB. One more buffer adds 16 KB.
  constexpr std::size_t kMost = OPENSSL_VERSION_NUMBER < 0x30200000L ? 40 * 1024 : 56 * 1024;
  EXPECT_LT(each, kMost);
}
#endif

TEST(PlainStream, PassesBytesAsTheyAre) {
  TestShard shard;
  const auto ends = socket_pair();
  Stream stream(runtime::Socket(shard, ends[0]));
  EXPECT_FALSE(stream.is_tls());
  EXPECT_EQ(stream.handshake().state, IoState::kDone);
  EXPECT_EQ(write(stream, {"a", "b"}).state, IoState::kDone);
  std::array<char, 8> bytes;
  ASSERT_EQ(::recv(ends[1], bytes.data(), bytes.size(), 0), 2);
  EXPECT_EQ(std::string_view(bytes.data(), 2), "ab");
  stream.shutdown_write();
  EXPECT_EQ(::recv(ends[1], bytes.data(), bytes.size(), 0), 0);
  ::close(ends[1]);
  EXPECT_EQ(stream.read(bytes).state, IoState::kEof);
  EXPECT_STREQ(stream.protocol(), "");
  EXPECT_EQ(stream.alpn(), "");
}

TEST(ServerStream, SaysThatThePeerDoesNotSpeakTls) {
  TestShard shard;
  const auto context = server_context({localhost()});
  const auto ends = socket_pair();
  Stream stream(runtime::Socket(shard, ends[0]), *context);
  ASSERT_GT(::send(ends[1], "SSH-2.0-a\r\n", 11, 0), 0);
  const IoResult result = stream.handshake();
  EXPECT_EQ(result.state, IoState::kFailed);
  EXPECT_STREQ(result.cause, "the peer does not speak TLS");
  EXPECT_FALSE(stream.has_heard_http() || stream.has_heard_nothing());
  EXPECT_EQ(write(stream, {"x"}).state, IoState::kFailed);
  ::close(ends[1]);
}

TEST(ServerStream, SentAnAlertToWhoSpeaksPlainHttp) {
  TestShard shard;
  const auto context = server_context({localhost()});
  const auto ends = socket_pair();
  Stream stream(runtime::Socket(shard, ends[0]), *context);
  ASSERT_GT(::send(ends[1], "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27, 0), 0);
  const IoResult result = stream.handshake();
  EXPECT_EQ(result.state, IoState::kFailed);
  EXPECT_STREQ(result.cause, "the peer speaks plain HTTP");
  EXPECT_TRUE(stream.has_heard_http());
  std::array<char, 8> bytes;
  EXPECT_EQ(::recv(ends[1], bytes.data(), bytes.size(), MSG_DONTWAIT), -1)
      << "the router answers in plain HTTP, and sends no alert";
  ::close(ends[1]);
}

TEST(ServerStream, CouldNotTellWhoNeverSaidAWord) {
  TestShard shard;
  const auto context = server_context({localhost()});
  const auto ends = socket_pair();
  Stream stream(runtime::Socket(shard, ends[0]), *context);
  ::close(ends[1]);
  EXPECT_EQ(stream.handshake().state, IoState::kFailed);
  EXPECT_TRUE(stream.has_heard_nothing());
}

TEST(ServerStream, FailsWhenThePeerLeavesDuringTheHandshake) {
  TestShard shard;
  const auto context = server_context({localhost()});
  const auto ends = socket_pair();
  Stream stream(runtime::Socket(shard, ends[0]), *context);
  EXPECT_EQ(stream.handshake().state, IoState::kBlocked);
  ::close(ends[1]);
  const IoResult result = stream.handshake();
  EXPECT_EQ(result.state, IoState::kFailed);
  EXPECT_STREQ(result.cause, "the peer closed during the TLS handshake");
}

}  // namespace
}  // namespace router::tls::test
