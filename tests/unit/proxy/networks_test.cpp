#include "router/proxy/networks.h"

#include <gtest/gtest.h>

namespace router::proxy {
namespace {

bool inside(const char* network, const char* address) {
  Networks networks;
  EXPECT_TRUE(networks.add(network)) << network;
  return networks.contains(*runtime::Address::parse(address, 1));
}

TEST(Networks, ContainsAddressesByPrefix) {
  EXPECT_TRUE(inside("10.0.0.0/8", "10.200.3.4"));
  EXPECT_FALSE(inside("10.0.0.0/8", "11.0.0.1"));
  EXPECT_TRUE(inside("192.0.2.128/25", "192.0.2.200"));
  EXPECT_FALSE(inside("192.0.2.128/25", "192.0.2.100"));
  EXPECT_TRUE(inside("192.0.2.1", "192.0.2.1"));
  EXPECT_FALSE(inside("192.0.2.1", "192.0.2.2"));
  EXPECT_TRUE(inside("fd00::/8", "fd12::1"));
  EXPECT_FALSE(inside("fd00::/8", "fe80::1"));
  EXPECT_TRUE(inside("0.0.0.0/0", "203.0.113.9"));
}

TEST(Networks, MatchesIpv4WrittenAsIpv6) { EXPECT_TRUE(inside("10.0.0.0/8", "::ffff:10.1.2.3")); }

TEST(Networks, RefusesWhatIsNoNetwork) {
  Networks networks;
  for (const char* text : {"", "host", "10.0.0.0/33", "fd00::/129", "10.0.0.0/x", "10.0.0.0/-1"})
    EXPECT_FALSE(networks.add(text)) << text;
}

}  // namespace
}  // namespace router::proxy
