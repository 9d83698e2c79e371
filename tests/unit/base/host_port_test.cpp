#include "router/base/host_port.h"

#include <gtest/gtest.h>

namespace router {
namespace {

TEST(HostPort, CutsNamesAndAddressesWithAPortAndWithout) {
  const auto cut = [](std::string_view text) {
    const std::optional<HostPort> parts = split_host_port(text);
    if (!parts) return std::string("none");
    return std::string(parts->host) + "|" + std::string(parts->written) + "|" + std::string(parts->port.value_or("none"));
  };
  EXPECT_EQ(cut("pod"), "pod|pod|none");
  EXPECT_EQ(cut("pod:80"), "pod|pod|80");
  EXPECT_EQ(cut("10.1.2.3:"), "10.1.2.3|10.1.2.3|");
  EXPECT_EQ(cut("[fd00::1]"), "fd00::1|[fd00::1]|none");
  EXPECT_EQ(cut("[fd00::1]:443"), "fd00::1|[fd00::1]|443");
  EXPECT_EQ(cut("[]"), "|[]|none");
  EXPECT_EQ(cut(""), "||none");
  EXPECT_EQ(cut(":80"), "||80");
}

TEST(HostPort, WithoutBracketsTheFirstColonEndsTheHost) {
  EXPECT_EQ(split_host_port("fd00::1")->host, "fd00");
  EXPECT_EQ(split_host_port("fd00::1")->port, ":1") << "`:1` is no port: the parser of ports refuses it";
}

TEST(HostPort, IsNothingIfABracketIsNotClosedOrTextFollowsIt) {
  for (const char* text : {"[", "[::1", "[::1]x", "[::1]80", "[::1]]:80"}) EXPECT_FALSE(split_host_port(text)) << text;
}

TEST(HostPort, PortsAreDigitsUpTo65535) {
  EXPECT_EQ(port_number("0"), 0);
  EXPECT_EQ(port_number("65535"), 65535);
  EXPECT_EQ(port_number("00080"), 80);
  for (const char* text : {"", "65536", "+80", "-1", " 80", "80 ", "8x", "0x50"}) EXPECT_FALSE(port_number(text)) << text;
  for (const char* text : {"", "80", "99999"}) EXPECT_TRUE(is_port_text(text)) << text;
  for (const char* text : {"100000", "+80", "8x"}) EXPECT_FALSE(is_port_text(text)) << text;
}

TEST(HostPort, PutsBracketsAroundIpv6AddressesOnly) {
  EXPECT_EQ(join_host_port("pod", 80), "pod:80");
  EXPECT_EQ(join_host_port("10.1.2.3", 80), "10.1.2.3:80");
  EXPECT_EQ(join_host_port("fd00::1", 80), "[fd00::1]:80");
  EXPECT_EQ(bracketed_host("fd00::1"), "[fd00::1]");
  EXPECT_EQ(bracketed_host("pod"), "pod");
}

}  // namespace
}  // namespace router
