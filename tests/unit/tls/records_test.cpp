#include "tests/unit/tls/peers.h"

namespace router::tls::test {
namespace {

/// The router's server with an OpenSSL client, record by record.
class Records : public ::testing::Test {
 protected:
  Records() { SSL_set_tlsext_host_name(peer_.ssl(), "localhost"); }
  void connect() {
    const IoResult result = shake(stream_, peer_);
    ASSERT_EQ(result.state, IoState::kDone) << result.cause;
    peer_.read();  // consumes the session ticket
  }
  /// The sizes of the records in `ciphertext`, without their headers (RFC 8446, section 5.2).
  static std::vector<std::size_t> record_sizes(std::string_view ciphertext) {
    std::vector<std::size_t> sizes;
    while (ciphertext.size() >= 5) {
      sizes.push_back(
          static_cast<std::size_t>(static_cast<unsigned char>(ciphertext[3]) << 8 | static_cast<unsigned char>(ciphertext[4])));
      ciphertext.remove_prefix(std::min(ciphertext.size(), 5 + sizes.back()));
    }
    return sizes;
  }

  static constexpr std::size_t kOverhead = 17;  // content type and tag

  TestShard shard_;
  std::shared_ptr<ServerContext> context_ = server_context({localhost()});
  Owned<SSL_CTX> peer_context_{SSL_CTX_new(TLS_client_method())};
  std::array<int, 2> ends_ = socket_pair();
  Stream stream_{runtime::Socket(shard_, ends_[0]), *context_};
  RawPeer peer_{ends_[1], peer_context_.get(), false};
};

TEST_F(Records, GathersSmallPiecesIntoOne) {
  connect();
  EXPECT_EQ(write(stream_, {"HTTP/1.1 200 OK\r\n\r\n", "body", "more"}).state, IoState::kDone);
  EXPECT_EQ(record_sizes(peer_.receive()), (std::vector<std::size_t>{19 + 4 + 4 + kOverhead}));
}

TEST_F(Records, AreFullWhenThereIsThatMuchToSend) {
  connect();
  const std::string head(300, 'h');
  const std::string body(40000, 'b');
  EXPECT_EQ(write(stream_, {head, body}).state, IoState::kDone);
  EXPECT_EQ(record_sizes(peer_.receive()),
            (std::vector<std::size_t>{16384 + kOverhead, 16384 + kOverhead, 40300 - 32768 + kOverhead}));
  EXPECT_EQ(peer_.read(), head + body);
}

TEST_F(Records, ArriveByteByByte) {
  std::array<char, 64> bytes;
  for (int turn = 0; turn < 10 && !peer_.shaken(); ++turn) {  // also the bytes of the handshake
    SSL_do_handshake(peer_.ssl());
    for (const char byte : peer_.take_output()) {
      peer_.send(std::string_view(&byte, 1));
      ASSERT_NE(stream_.handshake().state, IoState::kFailed);
    }
    peer_.receive();
  }
  ASSERT_EQ(stream_.handshake().state, IoState::kDone);
  CountingWaker waker;
  stream_.socket().set_waker(&waker);
  stream_.arm_read();
  shard_.poll();  // the handshake's last read filled its buffer, so the stream looks once for more bytes
  ASSERT_EQ(stream_.read(bytes).state, IoState::kBlocked);
  peer_.write("one");
  peer_.write("two");
  std::string got;
  for (const char byte : peer_.take_output()) {
    stream_.arm_read();
    shard_.poll();
    const int before = waker.count;
    shard_.poll();
    EXPECT_EQ(waker.count, before) << "an incomplete record must not wake the owner";
    peer_.send(std::string_view(&byte, 1));
    shard_.poll();
    EXPECT_EQ(waker.count, before + 1);
    const IoResult read = stream_.read(bytes);
    ASSERT_TRUE(read.state == IoState::kBlocked || read.state == IoState::kDrained) << read.cause;
    got.append(bytes.data(), read.bytes);
  }
  EXPECT_EQ(got, "onetwo");
}

TEST_F(Records, SurviveAWriteBetweenTheirHalves) {
  connect();
  CountingWaker waker;
  stream_.socket().set_waker(&waker);
  peer_.write("in two parts");
  const std::string record = peer_.take_output();
  peer_.send(std::string_view(record).substr(0, 10));
  EXPECT_EQ(read_all(stream_), "");
  write(stream_, {"meanwhile"});
  stream_.arm_read();
  shard_.poll();
  EXPECT_EQ(waker.count, 0);
  peer_.send(std::string_view(record).substr(10));
  shard_.poll();
  EXPECT_EQ(waker.count, 1);
  EXPECT_EQ(read_all(stream_), "in two parts");
  EXPECT_EQ(peer_.read(), "meanwhile");
}

TEST_F(Records, WithDataAreFoundBehindAKeyUpdate) {
  connect();
  for (const int kind : {SSL_KEY_UPDATE_NOT_REQUESTED, SSL_KEY_UPDATE_REQUESTED}) {
    ASSERT_EQ(SSL_key_update(peer_.ssl(), kind), 1);
    peer_.write("under new keys");
    peer_.send();
    std::array<char, 64> bytes;
    const IoResult read = stream_.read(bytes);
    ASSERT_EQ(read.state, IoState::kDrained) << read.cause;
    EXPECT_EQ(std::string_view(bytes.data(), read.bytes), "under new keys");
    EXPECT_EQ(write(stream_, {"answer"}).state, IoState::kDone);
    EXPECT_EQ(peer_.read(), "answer");
  }
}

TEST_F(Records, WithoutDataAreBounded) {
  connect();
  const auto update_keys = [this](int times) {
    for (int i = 0; i < times; ++i) {
      SSL_key_update(peer_.ssl(), SSL_KEY_UPDATE_REQUESTED);
      SSL_do_handshake(peer_.ssl());
    }
  };
  update_keys(30);
  peer_.write("fine");
  peer_.send();
  EXPECT_EQ(read_all(stream_), "fine");
  update_keys(4000);  // far more than one read handles: a flood must not hold the shard
  peer_.write("behind the flood");
  peer_.send();
  IoResult last{IoState::kBlocked};
  for (int turn = 0; turn < 2 && last.state == IoState::kBlocked; ++turn) {
    EXPECT_EQ(read_all(stream_, &last),
              "");  // OpenSSL 3.5 handles one message a call: the turn may end before the limit is reached
  }
  EXPECT_EQ(last.state, IoState::kFailed);
  EXPECT_STREQ(last.cause, "too many key updates without data");
  std::array<char, 1> more;
  EXPECT_EQ(::recv(stream_.socket().descriptor(), more.data(), more.size(), 0), 1) << "the router read all of them";
}

TEST_F(Records, OfOneByteDoNotHoldTheShard) {
  connect();
  constexpr std::size_t kSent = 1000;
  for (std::size_t i = 0; i < kSent; ++i) peer_.write("x");
  peer_.send();
  std::vector<char> into(Stream::kTurnBytes);
  std::size_t received = 0;
  int reads = 0;
  while (received < kSent) {
    const IoResult read = stream_.read(into);
    ASSERT_TRUE(read.moved()) << "the rest must not wait for more bytes to arrive";
    ASSERT_LE(read.bytes, 64u);
    received += read.bytes;
    ++reads;
  }
  EXPECT_GE(reads, 15);
}

TEST_F(Records, CannotBeRenegotiated) {
  SSL_set_max_proto_version(peer_.ssl(), TLS1_2_VERSION);
  connect();
  const std::string before = SSL_get_version(peer_.ssl());
  SSL_renegotiate(peer_.ssl());
  SSL_do_handshake(peer_.ssl());
  peer_.send();
  EXPECT_EQ(read_all(stream_), "");
  peer_.receive();
  EXPECT_LE(SSL_do_handshake(peer_.ssl()), 0);
  EXPECT_FALSE(peer_.shaken());
}

/// The router's client. A server may send its session ticket at any time, also before the answer.
TEST(ClientRecords, WithDataAreFoundBehindASessionTicket) {
  TestShard shard;
  const auto context = client_context(authority().ca_file());
  const Owned<SSL_CTX> server(SSL_CTX_new(TLS_server_method()));
  ASSERT_EQ(SSL_CTX_use_certificate_chain_file(server.get(), localhost().certificate_file.c_str()), 1);
  ASSERT_EQ(SSL_CTX_use_PrivateKey_file(server.get(), localhost().key_file.c_str(), SSL_FILETYPE_PEM), 1);
  const auto ends = socket_pair();
  Stream stream(runtime::Socket(shard, ends[0]), *context, "localhost");
  RawPeer peer(ends[1], server.get(), true);
  stream.handshake();
  peer.shake();
  ASSERT_EQ(stream.handshake().state, IoState::kDone);
  peer.receive();
  SSL_do_handshake(peer.ssl());  // the output has two tickets
  peer.write("the answer");
  const std::string output = peer.take_output();
  peer.send(output);
  std::array<char, 64> bytes;
  const IoResult read = stream.read(bytes);
  EXPECT_EQ(read.state, IoState::kDrained) << read.cause;
  EXPECT_EQ(std::string_view(bytes.data(), read.bytes), "the answer");
  // An idle connection that receives only a ticket can still be used.
  SSL_new_session_ticket(peer.ssl());
  SSL_do_handshake(peer.ssl());
  peer.send();
  EXPECT_EQ(stream.read(bytes).state, IoState::kBlocked);
}

}  // namespace
}  // namespace router::tls::test
