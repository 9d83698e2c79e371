#include "tests/support/growth.h"

#include <gtest/gtest.h>

#include <string>

#include "router/http/framing.h"
#include "router/http/head.h"
#include "router/http/hop_by_hop.h"

/// Reading a head, a trailer section or a body's framing costs time in proportion to its bytes, also for hostile input.
namespace router::http {
namespace {

using test::growth;
using test::kLinear;

constexpr std::size_t kSize = 16 * 1024;  // a quarter of the largest head

std::string repeated(std::string_view piece, std::size_t bytes) {
  std::string text;
  while (text.size() < bytes) text += piece;
  return text;
}

std::string request_with(const std::string& fields) { return "POST /score HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n"; }

/// Reads everything that the router reads from a head.
void read_request(const std::string& bytes) {
  RequestHead head;
  HeadScanner scanner;
  ASSERT_EQ(scanner.scan(bytes), bytes.size());
  if (!parse_request(bytes, head)) return;
  static_cast<void>(request_framing(head));
  static_cast<void>(keeps_alive(head));
  const HopByHop hop_by_hop(head.fields);
  for (const FieldLine& line : head.fields) static_cast<void>(hop_by_hop.contains(line));
}

void read_response(const std::string& bytes) {
  ResponseHead head;
  if (!parse_response(bytes, head)) return;
  static_cast<void>(response_framing(head, Method::kPost));
  static_cast<void>(keeps_alive(head));
  const HopByHop hop_by_hop(head.fields);
  for (const FieldLine& line : head.fields) static_cast<void>(hop_by_hop.contains(line));
}

/// As many fields and list elements as fit. All names have the same length and differ only in their last characters.
std::string fields_and_elements(std::size_t bytes) {
  const std::size_t names = bytes / 530;  // 123 in a head of 64 KB: both bounds are near
  const std::string common(240, 'n');
  std::string fields;
  std::string list = "Connection: x";
  for (std::size_t i = 0; i < names; ++i) {
    const std::string number = std::to_string(1000 + i);
    fields += common + number + "f: \r\n";
    list += "," + common + number + "e";
  }
  return fields + list + "\r\n";
}

TEST(GrowthOfAHead, ConnectionListsAreNotComparedWithEachField) {
  EXPECT_LT(growth(
                kSize, [](std::size_t size) { return request_with(fields_and_elements(size)); }, read_request),
            kLinear);
  const auto answer = [](std::size_t size) { return "HTTP/1.1 200 OK\r\n" + fields_and_elements(size) + "\r\n"; };
  EXPECT_LT(growth(kSize, answer, read_response), kLinear);
}

/// The attack took 57 ms: a hundred fields, and a list of thousands of elements.
TEST(GrowthOfAHead, AConnectionListOfThousandsOfElementsIsNotReadForEachField) {
  const auto make = [](std::size_t size) {
    std::string fields;
    for (std::size_t i = 0; i < size / 550; ++i) fields += "x" + std::to_string(i) + ": 1\r\n";
    return request_with(fields + "Connection: " + repeated("a,", size) + "b\r\n");
  };
  EXPECT_LT(growth(kSize, make, read_request), kLinear);
}

TEST(GrowthOfAHead, ListsOfOtherFieldsAreReadOnce) {
  for (const std::string name : {"Connection", "Transfer-Encoding", "Via", "X-Forwarded-For", "Forwarded", "Cookie", "X-Own"}) {
    const auto make = [&](std::size_t size) { return request_with(name + ": " + repeated("a, ", size) + "b\r\n"); };
    EXPECT_LT(growth(kSize, make, read_request), kLinear) << name;
  }
}

TEST(GrowthOfAHead, AHundredLinesOfOneFieldAreReadOnce) {
  for (const std::string name : {"Connection", "Transfer-Encoding", "Via", "X-Forwarded-For", "Forwarded", "Cookie", "X_Own"}) {
    const auto make = [&](std::size_t size) {
      return request_with(repeated(name + ": " + std::string(size / 120 - name.size(), 'v') + "\r\n", size));
    };
    EXPECT_LT(growth(kSize, make, read_request), kLinear) << name;
  }
}

TEST(GrowthOfAHead, WhiteSpaceIsTrimmedOnce) {
  const auto make = [](std::size_t size) { return request_with("Connection: a" + std::string(size, ' ') + ",b\r\n"); };
  EXPECT_LT(growth(kSize, make, read_request), kLinear);
}

TEST(GrowthOfAHead, ATargetIsReadOnce) {
  const auto make = [](std::size_t size) { return "GET /" + repeated("a/%41/?", size) + " HTTP/1.1\r\nHost: a\r\n\r\n"; };
  EXPECT_LT(growth(kSize, make, read_request), kLinear);
}

TEST(GrowthOfAHead, AHeadThatComesByteByByteIsNotSearchedFromItsBeginning) {
  const auto make = [](std::size_t size) { return request_with("X-Own: " + repeated("a\t", size) + "\r\n"); };
  EXPECT_LT(growth(kSize, make,
                   [](const std::string& bytes) {
                     HeadScanner scanner;
                     for (std::size_t arrived = 1; arrived <= bytes.size(); ++arrived) {
                       scanner.scan(std::string_view(bytes).substr(0, arrived));
                     }
                   }),
            kLinear);
}

/// Feeds the decoder one byte at a time.
void decode(const std::string& bytes) {
  BodyDecoder decoder({Framing::Kind::kChunked}, Origin::kDownstream);
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    if (!decoder.next(std::string_view(bytes).substr(at, 1))) return;
  }
}

TEST(GrowthOfABody, TrailersThatComeByteByByteAreReadOnce) {
  constexpr std::size_t kTrailers = 1900;  // four times as many are nearly the 8 KB that trailers may have
  const auto lines = [](std::size_t size) {
    std::string section = "0\r\n";
    for (int i = 0; i < 120; ++i) section += std::string(size / 120 - 5, 't') + ": 1\r\n";
    return section + "\r\n";
  };
  EXPECT_LT(growth(kTrailers, lines, decode), kLinear);
  const auto line = [](std::size_t size) { return "0\r\nX-Own: " + std::string(size, 'v') + "\r\n\r\n"; };
  EXPECT_LT(growth(kTrailers, line, decode), kLinear);
}

TEST(GrowthOfABody, ChunksOfOneByteAreReadOnce) {
  EXPECT_LT(growth(
                kSize, [](std::size_t size) { return repeated("1\r\na\r\n", size) + "0\r\n\r\n"; }, decode),
            kLinear);
}

}  // namespace
}  // namespace router::http
