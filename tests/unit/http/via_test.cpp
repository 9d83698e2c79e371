#include "router/http/via.h"

#include <gtest/gtest.h>

#include <string>

namespace router::http {
namespace {

bool finds(const Via& via, const std::string& lines) {
  RequestHead head;
  const std::string text = "GET / HTTP/1.1\r\nHost: a\r\n" + lines + "\r\n";  // the head has views into it
  EXPECT_TRUE(parse_request(text, head)) << lines;
  return via.is_in(head.fields);
}

TEST(Via, FindsItsNameAmongTheMembersOfAllLines) {
  const Via via("router-1");
  for (const std::string lines :
       {"Via: 1.1 router-1\r\n", "via: 1.0 a, 1.1 router-1, HTTP/1.1 b\r\n", "Via: HTTP/1.1 ROUTER-1 (of the cluster)\r\n",
        "Via: 1.1 a\r\nX: y\r\nVia: 1.1\t router-1\r\n", "Via: ,, 1.1 router-1,\r\n",
        "Via: 1.1 a (never closed, 1.1 router-1\r\n"}) {
    EXPECT_TRUE(finds(via, lines)) << lines;
  }
}

TEST(Via, IsNotMistakenForAnother) {
  const Via via("router-1");
  for (const std::string lines : {"", "Via: \r\n", "Via: router-1\r\n", "Via: 1.1 router-11, 1.1 router-\r\n",
                                  "Via: 1.1 a (router-1)\r\n", "Via: 1.1 a router-1\r\n", "X-Via: 1.1 router-1\r\n"}) {
    EXPECT_FALSE(finds(via, lines)) << lines;
  }
}

TEST(Via, SaysHowTheRequestCame) {
  const Via via("router-1");
  EXPECT_EQ(via.member(1), "1.1 router-1");
  EXPECT_EQ(via.member(0), "1.0 router-1");
}

TEST(Via, SaysAndFindsNothingWhereItIsOff) {
  EXPECT_EQ(Via().member(1), "");
  EXPECT_FALSE(finds(Via(), "Via: 1.1 \r\nVia: 1.1 a\r\n"));
}

}  // namespace
}  // namespace router::http
