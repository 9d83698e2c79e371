#include "tests/support/growth.h"

#include <gtest/gtest.h>

#include <string>

#include "router/kubernetes/json.h"
#include "router/kubernetes/watch_events.h"

/// Reading what an API server sends costs time in proportion to its bytes. Tenants write most of it.
namespace router::kubernetes {
namespace {

using test::growth;
using test::kLinear;

constexpr std::size_t kSize = 64 * 1024;  // large enough that the allocator treats both sizes alike

std::string repeated(const std::string& piece, std::size_t bytes) {
  std::string text;
  while (text.size() < bytes) text += piece;
  return text;
}

std::string keys(std::size_t bytes) {
  std::string text;
  for (int i = 100'000; text.size() < bytes; ++i) text += "\"k" + std::to_string(i) + "\": 1, ";
  return text;
}

TEST(GrowthOfJson, IsThatOfItsBytes) {
  const auto parse = [](const std::string& text) { static_cast<void>(parse_object(text)); };
  const auto of = [&](auto make) { return growth(kSize, make, parse); };
  EXPECT_LT(of([](std::size_t size) { return "{" + keys(size) + "\"a\": 1}"; }), kLinear) << "keys";
  EXPECT_LT(of([](std::size_t size) { return "{" + repeated("\"a\": 1, ", size) + "\"a\": 1}"; }), kLinear) << "one key";
  EXPECT_LT(of([](std::size_t size) { return "{\"a\": [" + repeated("{}, ", size) + "1]}"; }), kLinear) << "a list";
  EXPECT_LT(of([](std::size_t size) { return "{\"a\": \"" + repeated("\\n\\\"", size) + "\"}"; }), kLinear) << "a text";
  const auto deep = [](std::size_t size) { return "{\"a\": " + std::string(size, '[') + std::string(size, ']') + "}"; };
  EXPECT_LT(of(deep), kLinear) << "too deep";
  const auto often = [](std::size_t size) {
    const std::string each = std::string(200, '[') + std::string(200, ']') + ", ";
    return "{\"a\": [" + repeated(each, size) + "1]}";
  };
  EXPECT_LT(of(often), kLinear) << "too deep, many times";
}

TEST(GrowthOfAWatch, LinesThatComePieceByPieceAreSearchedOnce) {
  const auto read = [](const std::string& bytes) {
    EventLines lines;
    for (std::size_t at = 0; at < bytes.size(); at += 16) {
      lines.bytes().append(std::string_view(bytes).substr(at, 16));
      while (lines.next()) {
      }
    }
  };
  EXPECT_LT(growth(
                kSize, [](std::size_t size) { return std::string(size, 'x') + "\n"; }, read),
            kLinear)
      << "one line";
  EXPECT_LT(growth(
                kSize, [](std::size_t size) { return repeated("{}\n", size); }, read),
            kLinear)
      << "many";
}

TEST(GrowthOfAWatch, ManyLinesAtOnceAreNotMovedForEachOfThem) {
  const auto read = [](const std::string& bytes) {
    EventLines lines;
    lines.bytes().append(bytes);
    while (lines.next()) {
    }
  };
  EXPECT_LT(growth(
                kSize, [](std::size_t size) { return repeated("{}\n", size); }, read),
            kLinear);
}

}  // namespace
}  // namespace router::kubernetes
