#include "router/http/client_request_id.h"

#include <gtest/gtest.h>

#include <string>

namespace router::http {
namespace {

TEST(ClientRequestId, KeepsLettersDigitsDashAndUnderscoreOfAtMost40Characters) {
  EXPECT_EQ(ClientRequestId("aZ09-_").view(), "aZ09-_");
  EXPECT_EQ(ClientRequestId(" a b\tc\"d\xc3\xa4{e}.f").view(), "abcdef");
  EXPECT_EQ(ClientRequestId(std::string(41, 'x')).view(), std::string(40, 'x'));
  EXPECT_EQ(ClientRequestId(std::string(100, '.') + std::string(39, 'x') + ".yz").view(), std::string(39, 'x') + "y")
      << "dropped first, then cut";
  EXPECT_TRUE(ClientRequestId("").empty());
  EXPECT_TRUE(ClientRequestId("./ ").empty());
  EXPECT_TRUE(ClientRequestId().empty());
}

}  // namespace
}  // namespace router::http
