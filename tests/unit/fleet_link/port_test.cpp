#include "router/fleet_link/port.h"

#include <openssl/ssl.h>

#include <array>

#include "router/fleet_link/frame.h"
#include "tests/unit/fleet_link/node.h"
#include "tls/owned.h"

namespace router::fleet_link::test {
namespace {

class PortTest : public FleetTest {
 protected:
  /// Whether `client` is closed when `time` has passed.
  bool is_closed_after(const Descriptor& client, milliseconds time) {
    pass(time);
    return client.at_end();
  }
  bool is_closed_soon(const Descriptor& client) {
    return until([&] {
      client.received();  // perhaps an alert
      return client.at_end();
    });
  }
};

/// A member that speaks TLS by hand, to send what no member sends.
class RawMember {
 public:
  RawMember(TestShard& shard, const Node& to, const std::string& key = kKey)
      : shard_(shard), context_(tls::PskClientContext::make(keys(key), tls::PskPurpose::kLink, 1).value().front()) {
    Descriptor connected = stranger(to, "L");
    stream_ = tls::Stream(runtime::Socket(shard, connected.release()), *context_);
  }
  bool shake() {
    return turn_until(shard_, [this] { return stream_.handshake().state != runtime::IoState::kBlocked; }) &&
           stream_.handshake().state == runtime::IoState::kDone;
  }
  void send(std::string_view bytes) {
    const iovec piece{const_cast<char*>(bytes.data()), bytes.size()};
    stream_.write(std::span(&piece, 1));
  }
  void send_frame(std::string_view frame) {
    const auto header = frame_header(frame.size());
    send(std::string(header.data(), header.size()) + std::string(frame));
  }
  void reset() { stream_.socket().reset(); }
  void end() { stream_.socket().shutdown_write(); }
  tls::Stream& stream() { return stream_; }

 private:
  TestShard& shard_;
  std::shared_ptr<tls::PskClientContext> context_;
  tls::Stream stream_;
};

TEST_F(PortTest, HandsOverAConnectionForRequestsWithAllButTheFirstByte) {
  const auto a = node("a");
  const Descriptor client = stranger(*a, "RGET / HTTP/1.1");
  ASSERT_TRUE(until([&] { return !a->requests.empty(); }));
  EXPECT_EQ(a->requests.front().received(), "GET / HTTP/1.1");
  a->requests.front().send("answer");
  EXPECT_TRUE(until([&] { return client.received() == "answer"; }));
  EXPECT_EQ(a->port().strangers().size(), 0u);
}

TEST_F(PortTest, WaitsForTheFirstByteOfAConnectionForRequests) {
  const auto a = node("a");
  const Descriptor client = stranger(*a);
  pass(milliseconds(500));
  client.send("R");
  EXPECT_TRUE(until([&] { return !a->requests.empty(); }));
}

TEST_F(PortTest, ClosesWhatIsSilentOrUnknown) {
  const auto a = node("a");
  const Descriptor silent = stranger(*a);
  const Descriptor plain = stranger(*a, "GET / HTTP/1.1\r\n\r\n");
  const Descriptor tls = stranger(*a, "\x16\x03\x01\x02\x00\x01");  // the begin of a ClientHello
  Descriptor scan = stranger(*a);
  scan.close();
  EXPECT_TRUE(is_closed_soon(plain));
  EXPECT_TRUE(is_closed_soon(tls));
  EXPECT_FALSE(is_closed_after(silent, milliseconds(1900)));
  EXPECT_TRUE(is_closed_after(silent, milliseconds(200)));
  EXPECT_EQ(a->port().counts().unknown, 2u);
  EXPECT_EQ(a->port().counts().silent, 2u);
  EXPECT_EQ(a->port().strangers().size(), 0u);
}

TEST_F(PortTest, ClosesALinkThatShakesNoHands) {
  const auto a = node("a");
  const Descriptor silent = stranger(*a, "L");
  const Descriptor garbage = stranger(*a, "Lgarbage that is no TLS at all");
  EXPECT_TRUE(is_closed_soon(garbage));
  EXPECT_FALSE(is_closed_after(silent, milliseconds(4900)));
  EXPECT_TRUE(is_closed_after(silent, milliseconds(200)));
  EXPECT_EQ(a->links().counts().failed, 2u);
}

TEST_F(PortTest, ClosesOrdinaryTlsOfEitherVersionBehindTheFirstByte) {
  const auto a = node("a");
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    const Descriptor client = stranger(*a, "L");
    const tls::Owned<SSL_CTX> context(SSL_CTX_new(TLS_client_method()));
    SSL_CTX_set_max_proto_version(context.get(), version);
    const tls::Owned<SSL> ssl(SSL_new(context.get()));
    SSL_set_bio(ssl.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_connect(ssl.get());
    std::array<char, 4096> hello;
    const int size = BIO_read(SSL_get_wbio(ssl.get()), hello.data(), hello.size());
    client.send({hello.data(), static_cast<std::size_t>(size)});
    EXPECT_TRUE(is_closed_soon(client)) << version;
  }
  EXPECT_EQ(a->links().counts().failed, 2u);
}

TEST_F(PortTest, LetsAMemberInWhileOthersHoldAllPlaces) {
  const auto a = node("a");
  std::vector<Descriptor> scan;
  for (int i = 0; i < 80; ++i) scan.push_back(stranger(*a, i % 2 == 0 ? "L" : ""));
  ASSERT_TRUE(until([&] { return a->port().strangers().evicted() >= 16; }));
  EXPECT_LE(a->port().strangers().size(), 64u);
  EXPECT_TRUE(is_closed_soon(scan.front())) << "the oldest makes room";
  const auto b = node("b");
  b->links().set_peers({a->address()});
  EXPECT_TRUE(in_time([&] { return a->has_link_to("b"); }));
  EXPECT_EQ(b->seen().failures.size(), 0u);
}

TEST_F(PortTest, EndsALinkOnWhichAGigabyteIsAnnounced) {
  const auto a = node("a");
  RawMember raw(shard, *a);
  ASSERT_TRUE(raw.shake());
  raw.send_frame("raw");
  ASSERT_TRUE(until([&] { return a->has_link_to("raw"); }));
  raw.send(std::string("\x40\0\0\0abc", 7));
  ASSERT_TRUE(in_time([&] { return !a->seen().ends.empty(); }));
  EXPECT_EQ(a->seen().ends.front().second, Ended::kTooLong);
  EXPECT_EQ(a->links().counts().too_long, 1u);
}

TEST_F(PortTest, RefusesAHelloOfAGigabyte) {
  const auto a = node("a");
  RawMember raw(shard, *a);
  ASSERT_TRUE(raw.shake());
  raw.send(std::string("\x40\0\0\0", 4));
  EXPECT_TRUE(in_time([&] { return a->links().counts().failed == 1; }));
}

TEST_F(PortTest, RefusesAPeerThatSaysNoHello) {
  const auto a = node("a");
  RawMember raw(shard, *a);
  ASSERT_TRUE(raw.shake());
  pass(milliseconds(4900));
  EXPECT_EQ(a->links().counts().failed, 0u);
  pass(milliseconds(200));
  EXPECT_EQ(a->links().counts().failed, 1u);
}

TEST_F(PortTest, TakesFramesThatComeWithTheHello) {
  const auto a = node("a");
  RawMember raw(shard, *a);
  ASSERT_TRUE(raw.shake());
  raw.send(std::string("\0\0\0\3raw\0\0\0\3one\0\0\0\3t", 19));
  ASSERT_TRUE(until([&] { return a->got("one"); }));
  raw.send("wo");
  EXPECT_TRUE(until([&] { return a->got("two"); }));
}

TEST_F(PortTest, TellsHalfAFrameBeforeTheEndToNobody) {
  const auto a = node("a");
  RawMember raw(shard, *a);
  ASSERT_TRUE(raw.shake());
  raw.send(std::string("\0\0\0\3raw\0\0\0\3o", 12));
  ASSERT_TRUE(until([&] { return a->has_link_to("raw"); }));
  raw.end();
  ASSERT_TRUE(in_time([&] { return !a->seen().ends.empty(); }));
  EXPECT_EQ(a->seen().ends.front().second, Ended::kFin);
  EXPECT_TRUE(a->seen().frames.empty());
}

TEST_F(PortTest, TellsAResetFromTheEnd) {
  const auto a = node("a");
  RawMember raw(shard, *a);
  ASSERT_TRUE(raw.shake());
  raw.send_frame("raw");
  ASSERT_TRUE(until([&] { return a->has_link_to("raw"); }));
  raw.reset();
  ASSERT_TRUE(in_time([&] { return !a->seen().ends.empty(); }));
  EXPECT_EQ(a->seen().ends.front().second, Ended::kReset);
}

TEST_F(PortTest, EndsALinkWhoseBytesAreNoTls) {
  const auto a = node("a");
  RawMember raw(shard, *a);
  ASSERT_TRUE(raw.shake());
  raw.send_frame("raw");
  ASSERT_TRUE(until([&] { return a->has_link_to("raw"); }));
  raw.stream().socket().write(
      std::string_view("\x17\x03\x03\x00\x20"
                       "this was never encrypted at all..",
                       37));
  ASSERT_TRUE(in_time([&] { return !a->seen().ends.empty(); }));
  EXPECT_EQ(a->seen().ends.front().second, Ended::kProtocol);
}

TEST_F(PortTest, RefusesConnectionsOnlyAfterItWasClosed) {
  const auto a = node("a");
  const auto b = node("b");
  join(*a, *b);
  EXPECT_TRUE(stranger(*a));
  a->port().close();
  EXPECT_FALSE(stranger(*a));
  EXPECT_TRUE(a->send("b", "open links stay"));
  EXPECT_TRUE(until([&] { return b->got("open links stay"); }));
}

}  // namespace
}  // namespace router::fleet_link::test
