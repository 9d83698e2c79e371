#include <gtest/gtest.h>

#include <cstdlib>
#include <new>
#include <string>

#include "router/http/framing.h"
#include "router/http/head.h"

namespace {
thread_local std::size_t allocations = 0;
}

// Counts the allocations of this binary. By default every other form of new calls this one.
void* operator new(std::size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace router::http {
namespace {

template <class Act>
std::size_t allocations_of(Act act) {
  const std::size_t before = allocations;
  act();
  return allocations - before;
}

TEST(Allocation, IsCountedByThisTest) {
  EXPECT_EQ(allocations_of([] { std::string(1000, 'x').clear(); }), 1U);
}

TEST(Allocation, NoneForHeadsAndTheirFraming) {
  const std::string request =
      "POST /api/v1/endpoint/a/score HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\nX-Long: " +
      std::string(3000, 'v') + "\r\n\r\n";
  const std::string response = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nServer: pod\r\n\r\n";
  EXPECT_EQ(allocations_of([&] {
              HeadScanner scanner;
              RequestHead head;
              EXPECT_EQ(scanner.scan(request), request.size());
              EXPECT_TRUE(parse_request(request, head));
              EXPECT_TRUE(request_framing(head));
              EXPECT_TRUE(keeps_alive(head));
            }),
            0U);
  EXPECT_EQ(allocations_of([&] {
              ResponseHead head;
              EXPECT_TRUE(parse_response(response, head));
              EXPECT_TRUE(response_framing(head, Method::kPost));
            }),
            0U);
}

TEST(Allocation, NoneForRefusals) {
  const std::string request = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n";
  EXPECT_EQ(allocations_of([&] {
              RequestHead head;
              EXPECT_FALSE(parse_request(request, head));
            }),
            0U);
}

TEST(Allocation, NoneForChunksWithoutTrailers) {
  const std::string body = "5;ext=" + std::string(500, 'e') + "\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n";
  EXPECT_EQ(allocations_of([&] {
              BodyDecoder decoder({Framing::Kind::kChunked}, Origin::kDownstream);
              for (std::size_t at = 0; at < body.size(); ++at) {
                const bool right = decoder.next(std::string_view(body).substr(at, 1)).has_value();
                EXPECT_TRUE(right);
              }
              EXPECT_TRUE(decoder.ended());
            }),
            0U);
}

}  // namespace
}  // namespace router::http
