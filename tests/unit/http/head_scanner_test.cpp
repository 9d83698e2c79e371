#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "router/http/head.h"

namespace router::http {
namespace {

const std::string kHead = "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n";

TEST(HeadScanner, FindsTheEndAtEverySplit) {
  const std::string stream = kHead + "body\r\n\r\n";
  for (std::size_t split = 0; split <= stream.size(); ++split) {
    HeadScanner scanner;
    const std::size_t early = scanner.scan(std::string_view(stream).substr(0, split));
    EXPECT_EQ(early, split < kHead.size() ? 0 : kHead.size()) << split;
    EXPECT_EQ(early > 0 ? early : scanner.scan(stream), kHead.size()) << split;
  }
}

TEST(HeadScanner, FindsTheEndByteByByte) {
  HeadScanner scanner;
  for (std::size_t size = 0; size < kHead.size(); ++size) {
    ASSERT_EQ(scanner.scan(std::string_view(kHead).substr(0, size)), 0U) << size;
  }
  EXPECT_EQ(scanner.scan(kHead), kHead.size());
}

TEST(HeadScanner, BytesMayMoveBetweenScans) {
  HeadScanner scanner;
  EXPECT_EQ(scanner.scan(std::string(kHead, 0, kHead.size() - 1)), 0U);
  EXPECT_EQ(scanner.scan(std::string(kHead)), kHead.size());
}

TEST(HeadScanner, EndsAtBareLineFeedsTooSoThatTheyAreRefusedAtOnce) {
  for (const std::string head :
       {"GET / HTTP/1.1\nHost: a\n\n", "GET / HTTP/1.1\r\nHost: a\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\n"}) {
    HeadScanner at_once;
    EXPECT_EQ(at_once.scan(head + "tail\r\n\r\n"), head.size()) << head;
    HeadScanner scanner;
    for (std::size_t size = 0; size < head.size(); ++size) {
      ASSERT_EQ(scanner.scan(std::string_view(head).substr(0, size)), 0U) << size;
    }
    EXPECT_EQ(scanner.scan(head), head.size()) << head;
    RequestHead parsed;
    EXPECT_FALSE(parse_request(head, parsed));
  }
}

TEST(HeadScanner, IsNotMisledByLinesThatOnlyBeginLikeAnEnd) {
  HeadScanner scanner;
  const std::string bytes = "GET / HTTP/1.1\r\n\rX: y\r\nA: b\r\n\r\n";
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    ASSERT_EQ(scanner.scan(std::string_view(bytes).substr(0, size)), 0U) << size;
  }
  EXPECT_EQ(scanner.scan(bytes), bytes.size());
}

TEST(HeadScanner, CutsPipelinedHeadsOneByOne) {
  std::string_view rest = "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\nGET /3 HTTP/1.0\r\n\r\nGET /4";
  std::vector<std::string> paths;
  for (;;) {
    HeadScanner scanner;
    const std::size_t size = scanner.scan(rest);
    if (size == 0) break;
    RequestHead head;
    ASSERT_TRUE(parse_request(rest.substr(0, size), head));
    paths.emplace_back(head.path);
    rest.remove_prefix(size);
  }
  EXPECT_EQ(paths, (std::vector<std::string>{"/1", "/2", "/3"}));
  EXPECT_EQ(rest, "GET /4");
}

}  // namespace
}  // namespace router::http
