#include "router/proxy/client_ip.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/support/messages.h"
#include "tests/support/quiet_downstream.h"

namespace router::proxy {
namespace {

class From final : public test::QuietDownstream {
 public:
  From(const http::RequestHead& head, bool trusted) : QuietDownstream(head) { asks() = {"10.0.0.1", trusted, false}; }
  std::uint64_t request_bytes() const override { return 0; }
  std::uint64_t response_bytes() const override { return 0; }
  std::uint64_t bytes_taken() const override { return 0; }
};

std::string told(const std::string& fields, bool trusted = true) {
  Networks proxies;
  EXPECT_TRUE(proxies.add("10.0.0.0/8"));
  EXPECT_TRUE(proxies.add("fd00::/8"));
  const test::Request request(test::request_text("POST", "/", fields));
  const From from(request.head(), trusted);
  ClientIpText room;
  return std::string(client_ip(from, proxies, room));
}

TEST(ClientIp, IsThePeerUnlessATrustedOneSpeaksForAnother) {
  EXPECT_EQ(told(""), "10.0.0.1");
  EXPECT_EQ(told("X-Forwarded-For: 192.0.2.7\r\n", false), "10.0.0.1");
  EXPECT_EQ(told("X-Forwarded-For: 192.0.2.7\r\n"), "192.0.2.7");
  EXPECT_EQ(told("X-Real-IP: 192.0.2.7\r\n"), "10.0.0.1");
}

TEST(ClientIp, IsTheLastAddressThatIsNoTrustedProxy) {
  EXPECT_EQ(told("X-Forwarded-For: 6.6.6.6, 192.0.2.7, 10.0.0.3 ,fd00::4\r\n"), "192.0.2.7");
  EXPECT_EQ(told("X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 192.0.2.7\r\nX-Forwarded-For: 10.0.0.3\r\n"), "192.0.2.7");
  EXPECT_EQ(told("X-Forwarded-For: 10.0.0.9, 10.0.0.3\r\n"), "10.0.0.9") << "all addresses are trusted proxies";
}

TEST(ClientIp, LeavesPortsOutAndWritesAddressesInOneWay) {
  EXPECT_EQ(told("X-Forwarded-For: 192.0.2.7:4711\r\n"), "192.0.2.7");
  EXPECT_EQ(told("X-Forwarded-For: [2001:DB8:0::7]:4711\r\n"), "2001:db8::7");
  EXPECT_EQ(told("X-Forwarded-For: [2001:db8::7]\r\n"), "2001:db8::7");
  EXPECT_EQ(told("X-Forwarded-For: 2001:db8::7\r\n"), "2001:db8::7");
  EXPECT_EQ(told("X-Forwarded-For: ::ffff:192.0.2.7\r\n"), "192.0.2.7");
}

TEST(ClientIp, EndsAtWhatIsNoAddress) {
  EXPECT_EQ(told("X-Forwarded-For: 6.6.6.6, unknown\r\n"), "10.0.0.1");
  EXPECT_EQ(told("X-Forwarded-For: 6.6.6.6, _hidden, 10.0.0.3\r\n"), "10.0.0.3");
  for (const std::string element : {"", ",", "\"}", ":", "]:", "[]:", "[:", "1.2.3", "fe80::1%eth0"}) {
    EXPECT_EQ(told("X-Forwarded-For: 6.6.6.6, " + element + "\r\n"), "10.0.0.1") << element;
  }
  EXPECT_EQ(told("X-Forwarded-For: " + std::string(60'000, '1') + "\r\n"), "10.0.0.1");
}

TEST(ClientIp, LooksAtFewOfTheThousandProxiesThatAClientInvents) {
  std::string hops = "6.6.6.6, 10.9.9.9";
  for (int i = 0; i < 31; ++i) hops += ", 10.0.0.3";
  EXPECT_EQ(told("X-Forwarded-For: " + hops + "\r\n"), "10.9.9.9");
  EXPECT_EQ(told("X-Forwarded-For: " + hops + ", 10.0.0.3\r\n"), "10.0.0.3");
}

}  // namespace
}  // namespace router::proxy
