#include "router/proxy/proxy_protocol.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <boost/asio/io_context.hpp>
#include <string>

#include "tests/support/test_shard.h"
#include "tests/support/wire.h"

namespace router::proxy {
namespace {

using namespace std::string_literals;

const std::string kVersion2 = "\r\n\r\n\0\r\nQUIT\n"s;

TEST(ProxyProtocol, ReadsTheClientOfVersion1) {
  const std::string line = "PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n";
  const Result<ProxyHeader> header = parse_proxy_header(line + "GET / HTTP/1.1\r\n");
  EXPECT_EQ(header->bytes, line.size());
  EXPECT_EQ(header->client->text(), "192.0.2.7:4711");
  EXPECT_EQ(parse_proxy_header("PROXY TCP6 2001:db8::7 2001:db8::1 1 2\r\n")->client->text(), "[2001:db8::7]:1");
}

TEST(ProxyProtocol, KeepsThePeerWhenVersion1DoesNotKnow) {
  const Result<ProxyHeader> header = parse_proxy_header("PROXY UNKNOWN\r\n");
  EXPECT_EQ(header->bytes, 15u);
  EXPECT_FALSE(header->client);
}

TEST(ProxyProtocol, ReadsTheClientOfVersion2) {
  const std::string header = kVersion2 + "\x21\x11\0\x0c"s + "\xc0\0\x02\x07\xc6\x33\x64\x01\x12\x67\x01\xbb"s;
  const Result<ProxyHeader> parsed = parse_proxy_header(header + "rest");
  EXPECT_EQ(parsed->bytes, header.size());
  EXPECT_EQ(parsed->client->text(), "192.0.2.7:4711");
}

TEST(ProxyProtocol, KeepsThePeerForALocalCommand) {
  const Result<ProxyHeader> parsed = parse_proxy_header(kVersion2 + "\x20\0\0\0"s);
  EXPECT_EQ(parsed->bytes, 16u);
  EXPECT_FALSE(parsed->client);
  EXPECT_TRUE(parsed->local);
}

TEST(ProxyProtocol, IgnoresTheRestOfALineThatDoesNotKnow) {
  const std::string longest = "PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535" + std::string(48, 'x') + "\r\n";
  ASSERT_EQ(longest.size(), 107u);
  for (const std::string& line : {longest, "PROXY UNKNOWN 192.0.2.7 nonsense \0 -1\r\n"s}) {
    const Result<ProxyHeader> parsed = parse_proxy_header(line + "GET ");
    ASSERT_TRUE(parsed);
    EXPECT_EQ(parsed->bytes, line.size());
    EXPECT_FALSE(parsed->client || parsed->local);
  }
}

TEST(ProxyProtocol, ReadsNoAddressOfLocalOrUnknownFamilies) {
  for (const std::string& what : {"\x20\x11"s, "\x20\x51"s, "\x21\0"s, "\x21\x12"s, "\x21\x22"s, "\x21\x31"s, "\x21\x32"s}) {
    const Result<ProxyHeader> parsed = parse_proxy_header(kVersion2 + what + "\xff\xff"s);
    ASSERT_TRUE(parsed);
    EXPECT_EQ(parsed->bytes, 16u + 65535);
    EXPECT_FALSE(parsed->client);
    EXPECT_EQ(parsed->local, what[0] == 0x20);
  }
}

TEST(ProxyProtocol, WaitsForTheWholeHeader) {
  for (const std::string& header : {"PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n"s,
                                    kVersion2 + "\x21\x11\0\x0c"s + "\xc0\0\x02\x07\xc6\x33\x64\x01\x12\x67\x01\xbb"s}) {
    for (std::size_t length = 1; length < header.size(); ++length) {
      const Result<ProxyHeader> parsed = parse_proxy_header(header.substr(0, length));
      ASSERT_TRUE(parsed) << length;
      EXPECT_EQ(parsed->bytes, 0u) << length;
    }
  }
}

TEST(ProxyProtocol, RefusesWhatIsNoHeader) {
  for (const std::string& input :
       {"GET / HTTP/1.1\r\n"s, "PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n"s, "PROXY TCP4 nowhere 1.2.3.4 1 2\r\n"s,
        "PROXY TCP4 1.2.3.4 1.2.3.4 99999 2\r\n"s, "PROXY TCP4 1.2.3.4\0x 1.2.3.4 1 2\r\n"s,
        "PROXY TCP4 " + std::string(200, '1'), "PROXY UNKNOWN " + std::string(92, 'x') + "\r\n", kVersion2 + "\x31\x11\0\x0c"s,
        kVersion2 + "\x21\x11\0\x0b"s, kVersion2 + "\x21\x21\0\x23"s}) {
    EXPECT_FALSE(parse_proxy_header(input)) << input;
  }
}

TEST(ProxyProtocol, TakesALineOfVersion1OnlyIfAllOfItIsRight) {
  EXPECT_TRUE(parse_proxy_header("PROXY TCP4 1.2.3.4 1.2.3.5 0 65535\r\n"));
  for (const char* line : {"PROXY TCP4 ::1 ::1 1 2",
                           "PROXY TCP6 1.2.3.4 1.2.3.4 1 2",
                           "PROXY TCP4 1.2.3.4 ::1 1 2",
                           "PROXY TCP6 [::1] [::1] 1 2",
                           "PROXY TCP4 1.2.3.4 nowhere 1 2",
                           "PROXY TCP4 1.2.3.4 1.2.3.4 1",
                           "PROXY TCP4 1.2.3.4 1.2.3.4 1 ",
                           "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 ",
                           "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3",
                           "PROXY TCP4 1.2.3.4 1.2.3.4 1 x",
                           "PROXY TCP4 1.2.3.4 1.2.3.4 1 65536",
                           "PROXY TCP4 1.2.3.4 1.2.3.4 01 2",
                           "PROXY TCP4 1.2.3.4 1.2.3.4 +1 2",
                           "PROXY TCP4  1.2.3.4 1.2.3.4 1 2",
                           "PROXY  TCP4 1.2.3.4 1.2.3.4 1 2",
                           "PROXY TCP4 1.2.3.4  1.2.3.4 1 2",
                           "PROXY TCP4\t1.2.3.4 1.2.3.4 1 2",
                           "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\t",
                           "PROXY TCP4",
                           "PROXY UNKNOWNS",
                           "PROXY tcp4 1.2.3.4 1.2.3.4 1 2"}) {
    EXPECT_FALSE(parse_proxy_header(std::string(line) + "\r\n")) << line;
  }
}

bool fits(const std::string& bytes) {
  ProxyValues whole;
  whole.take(bytes);
  ProxyValues pieces;
  for (const char& c : bytes) pieces.take({&c, 1});
  EXPECT_EQ(whole.complete(), pieces.complete());
  return whole.complete();
}

TEST(ProxyProtocol, WantsTheValuesOfVersion2ToFit) {
  for (const std::string& values :
       {""s, "\x04\0\0"s, "\x04\0\x02xy"s, "\x04\0\x02xy\x05\0\x01z"s, "\xea\x01\0"s + std::string(256, 'v')}) {
    EXPECT_TRUE(fits(values)) << values.size();
  }
  for (const std::string& values : {"\x04"s, "\x04\0"s, "\x04\0\x02x"s, "\x04\0\x02xyz"s, "\x04\xff\xff"s}) {
    EXPECT_FALSE(fits(values)) << values.size();
  }
  const std::string addresses = "\xc0\0\x02\x07\xc6\x33\x64\x01\x12\x67\x01\xbb"s;
  EXPECT_EQ(parse_proxy_header(kVersion2 + "\x21\x11\0\x11"s + addresses + "\x04\0\x02xy"s)->values, 5u);
}

TEST(ProxyProtocol, TookAFamilyThatTheSpecificationDoesNotHave) {
  for (int family = 0; family < 256; ++family) {
    const std::string header = kVersion2 + "\x21"s + static_cast<char>(family) + "\0\xd8"s + std::string(216, '\0');
    const bool defined = std::string("\x00\x11\x12\x21\x22\x31\x32", 7).find(static_cast<char>(family)) != std::string::npos;
    EXPECT_EQ(parse_proxy_header(header).has_value(), defined) << family;
  }
}

TEST(ProxyProtocol, TookValuesThatDoNotFitWhereTheClientIsUnknown) {
  const auto values = [](char family, std::size_t length) {
    const std::string head = kVersion2 + "\x21"s + family + static_cast<char>(length >> 8) + static_cast<char>(length & 255);
    const Result<ProxyHeader> parsed = parse_proxy_header(head);
    return parsed ? static_cast<int>(parsed->values) : -1;
  };
  EXPECT_EQ(values('\x00', 5), 5);
  EXPECT_EQ(values('\x12', 17), 5);
  EXPECT_EQ(values('\x32', 221), 5);
  EXPECT_EQ(values('\x12', 11), -1) << "no room for the addresses";
  EXPECT_EQ(values('\x22', 35), -1);
  EXPECT_EQ(values('\x31', 215), -1);
}

TEST(ProxyProtocol, DiscardsAllThatFollowsLocal) {
  const Result<ProxyHeader> parsed = parse_proxy_header(kVersion2 + "\x20\x11\0\x02"s);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->bytes, 18u);
  EXPECT_EQ(parsed->values, 0u);
}

/// A header that is read while the client sends it.
struct HeaderReading {
  HeaderReading() {
    pair.stream.socket().set_waker(&wakeup);
    reading = shard.start(read_proxy_header(pair.stream.socket(), wakeup, kNever, kNever));
  }
  /// What the reader has left in the socket, up to 64 bytes.
  std::string unread() {
    std::array<char, 64> rest;
    const ssize_t left = ::recv(pair.stream.socket().descriptor(), rest.data(), rest.size(), MSG_DONTWAIT);
    return {rest.data(), static_cast<std::size_t>(std::max<ssize_t>(left, 0))};
  }

  test::TestShard shard;
  test::Wire pair{shard};
  runtime::Wakeup wakeup{shard};
  test::TestShard::Started<Result<ProxyHeader>> reading;
};

TEST(ProxyProtocol, GivesUpAtOnceWhenTheClientLeavesWithinTheHeader) {
  HeaderReading header;
  header.pair.far.send("PROXY TCP4 192.");
  ::shutdown(header.pair.far.get(), SHUT_WR);
  // The number of turns is limited: a task that did not see the end would be woken by it for ever.
  header.shard.shard().io().restart();
  for (int turns = 0; turns < 20 && !header.reading.done(); ++turns) header.shard.shard().io().poll_one();
  EXPECT_TRUE(header.reading.done() && !header.reading.peek());
  static_cast<void>(header.unread());
  header.shard.poll();
}

TEST(ProxyProtocol, SkipsALongPayloadInPiecesAndTakesNotAByteMore) {
  HeaderReading header;
  const std::string whole = kVersion2 + "\x20\0\xff\xff"s + std::string(65535, 'p') + "GET ";
  for (std::size_t sent = 0; sent < whole.size(); sent += 1000) {
    const std::string piece = whole.substr(sent, 1000);
    ASSERT_EQ(::send(header.pair.far.get(), piece.data(), piece.size(), MSG_NOSIGNAL), static_cast<ssize_t>(piece.size()));
    header.shard.poll();
  }
  ASSERT_TRUE(header.reading.done());
  EXPECT_TRUE(header.reading.get()->local);
  EXPECT_EQ(header.unread(), "GET ");
}

}  // namespace
}  // namespace router::proxy
