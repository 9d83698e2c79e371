#include <gtest/gtest.h>

#include <string>

#include "router/http/head.h"
#include "router/http/hop_by_hop.h"

namespace router::http {
namespace {

struct KeepAliveCase {
  int minor_version;
  const char* fields;
  bool expected;
};

TEST(KeepAlive, FollowsVersionAndConnectionField) {
  const KeepAliveCase cases[] = {{1, "", true},
                                 {1, "Connection: close\r\n", false},
                                 {1, "Connection: CLOSE\r\n", false},
                                 {1, "Connection: x, Close ,y\r\n", false},
                                 {1, "Connection: x\r\nConnection: close\r\n", false},
                                 {1, "Connection: keep-alive\r\n", true},
                                 {1, "Connection: keep-alive, close\r\n", false},
                                 {1, "Connection: closed\r\n", true},
                                 {1, "Proxy-Connection: close\r\n", true},
                                 {0, "", false},
                                 {0, "Connection: keep-alive\r\n", true},
                                 {0, "Connection: Keep-Alive, x\r\n", true},
                                 {0, "Connection: keep-alive\r\nConnection: close\r\n", false},
                                 {0, "Keep-Alive: timeout=5\r\n", false},
                                 {0, "Proxy-Connection: keep-alive\r\n", false}};
  for (const KeepAliveCase& each : cases) {
    const std::string version = "HTTP/1." + std::to_string(each.minor_version);
    const std::string request_bytes = "GET / " + version + "\r\nHost: a\r\n" + each.fields + "\r\n";
    RequestHead request;
    ASSERT_TRUE(parse_request(request_bytes, request));
    EXPECT_EQ(keeps_alive(request), each.expected) << version << ' ' << each.fields;
    const std::string response_bytes = version + " 200 OK\r\n" + each.fields + "\r\n";
    ResponseHead response;
    ASSERT_TRUE(parse_response(response_bytes, response));
    EXPECT_EQ(keeps_alive(response), each.expected) << version << ' ' << each.fields;
  }
}

TEST(ListsToken, ComparesWholeElementsWithoutCase) {
  EXPECT_TRUE(lists_token("a, B ,\tc", "b"));
  EXPECT_TRUE(lists_token("a,b,c", "C"));
  EXPECT_TRUE(lists_token(" a ", "a"));
  EXPECT_FALSE(lists_token("", "a"));
  EXPECT_FALSE(lists_token("ab", "a"));
  EXPECT_FALSE(lists_token("a b", "a"));
  EXPECT_FALSE(lists_token("a;q=1", "a"));
}

TEST(HopByHop, IsWhatTheStandardNamesAndWhatConnectionNames) {
  RequestHead head;
  ASSERT_TRUE(
      parse_request("GET / HTTP/1.1\r\nHost: a\r\nConnection: close, x-own\r\nconnection: Other\r\nX-Own: 1\r\nOther: 2\r\n"
                    "Keep-Alive: 3\r\nTE: trailers\r\nTrailer: T\r\nUpgrade: h2c\r\nProxy-Authorization: p\r\n"
                    "Proxy-Connection: close\r\nTransfer-Encoding: chunked\r\nAccept: */*\r\nX-Own-2: x\r\n\r\n",
                    head));
  const HopByHop hop_by_hop(head.fields);
  std::string kept;
  for (const FieldLine& line : head.fields) {
    if (!hop_by_hop.contains(line)) kept.append(line.name).append(" ");
  }
  EXPECT_EQ(kept, "Host Accept X-Own-2 ");
}

/// A head with a field `Kept`, one field that Connection names, and `elements` elements in two lists.
std::string with_elements(const std::string& start_line, std::size_t elements) {
  std::string head = start_line + "Kept: 1\r\nNamed: 2\r\nConnection: close\r\nConnection: ";
  for (std::size_t i = 2; i < elements; ++i) head += "x" + std::to_string(i) + ", ";
  return head + "NAMED\r\n\r\n";
}

TEST(HopByHop, TakesAsManyElementsAsAHeadMayHaveFields) {
  RequestHead head;
  const std::string request = with_elements("GET / HTTP/1.1\r\nHost: a\r\n", 128);
  ASSERT_TRUE(parse_request(request, head));
  std::string kept;
  const HopByHop hop_by_hop(head.fields);
  for (const FieldLine& line : head.fields) {
    if (!hop_by_hop.contains(line)) kept.append(line.name).append(" ");
  }
  EXPECT_EQ(kept, "Host Kept ");
  ResponseHead answer;
  EXPECT_TRUE(parse_response(with_elements("HTTP/1.1 200 OK\r\n", 128), answer));
}

TEST(HopByHop, HasABoundBeyondWhichAHeadIsRefused) {
  RequestHead head;
  EXPECT_EQ(parse_request(with_elements("GET / HTTP/1.1\r\nHost: a\r\n", 129), head).error().reason, Reason::kHeadersTooLarge);
  ResponseHead answer;
  EXPECT_EQ(parse_response(with_elements("HTTP/1.1 200 OK\r\n", 129), answer).error().reason, Reason::kUpstreamInvalidResponse);
  EXPECT_EQ(parse_response(with_elements("HTTP/1.1 200\r\n", 129), answer).error().reason, Reason::kUpstreamInvalidResponse);
}

TEST(HopByHop, TellsNamesOfOneLengthApart) {
  RequestHead head;
  ASSERT_TRUE(parse_request("GET / HTTP/1.1\r\nHost: a\r\nConnection: x-two\r\nX-One: 1\r\nX-Two: 2\r\n\r\n", head));
  const HopByHop hop_by_hop(head.fields);
  EXPECT_FALSE(hop_by_hop.contains({"x-one", "1", Field::kOther}));
  EXPECT_TRUE(hop_by_hop.contains({"X-TWO", "2", Field::kOther}));
}

}  // namespace
}  // namespace router::http
