#include "router/admin/own_host.h"

#include <gtest/gtest.h>

namespace router::admin {
namespace {

TEST(OwnHost, IsLoopbackOrTheConfiguredAddress) {
  const OwnHost own("10.1.2.3:9902");
  for (const char* host :
       {"10.1.2.3", "10.1.2.3:9902", "10.1.2.3:80", "localhost:9902", "127.0.0.1", "[::1]", "[::ffff:127.0.0.1]"}) {
    EXPECT_TRUE(own.is(host)) << host;
  }
  for (const char* host : {"", "10.1.2.4", "bad.example", "localhost.bad.example", "127.0.0.1.bad.example", "[::2]",
                           "localhost:x", "localhost:123456", "[::1", "[::1]x", "0.0.0.0", ":9902", "127.1", "0x7f.1"}) {
    EXPECT_FALSE(own.is(host)) << host;
  }
}

TEST(OwnHost, IsANameThatWasConfigured) {
  const OwnHost own("Router.internal:9902");
  EXPECT_TRUE(own.is("router.INTERNAL:1234"));
  EXPECT_TRUE(own.is("router.internal."));
  EXPECT_FALSE(own.is("other.internal"));
}

TEST(OwnHost, IsAnyAddressButNoNameWhereEveryAddressIsListenedOn) {
  for (const char* address : {"0.0.0.0:9902", "[::]:9902"}) {
    const OwnHost own(address);
    EXPECT_TRUE(own.is("192.0.2.7:9902"));
    EXPECT_TRUE(own.is("[2001:db8::7]:9902"));
    EXPECT_TRUE(own.is("localhost"));
    EXPECT_FALSE(own.is("bad.example"));
  }
}

TEST(OwnHost, IsAnythingForAUnixSocket) {
  const OwnHost own("unix:/run/router/admin.sock");
  EXPECT_TRUE(own.is(""));
  EXPECT_TRUE(own.is("whatever"));
}

TEST(OwnOrigin, IsTheSchemeAndTheHostField) {
  EXPECT_TRUE(is_own_origin("http://LocalHost:9902", "localhost:9902"));
  EXPECT_FALSE(is_own_origin("http://localhost", "localhost:9902"));
  EXPECT_FALSE(is_own_origin("http://", ""));
  EXPECT_FALSE(is_own_origin("null", "localhost"));
}

}  // namespace
}  // namespace router::admin
