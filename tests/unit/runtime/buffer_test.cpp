#include "router/runtime/buffer.h"

#include <gtest/gtest.h>

#include <string>

namespace router::runtime {
namespace {

TEST(Buffer, HoldsNoMemoryUntilItIsFilled) {
  BufferPool pool;
  Buffer buffer(pool);
  EXPECT_EQ(buffer.capacity(), 0u);
  buffer.append("");
  EXPECT_EQ(buffer.capacity(), 0u);
  buffer.append("x");
  EXPECT_EQ(buffer.capacity(), BufferPool::kBlockBytes);
}

TEST(Buffer, GivesFromTheFrontWhatWasAppended) {
  BufferPool pool;
  Buffer buffer(pool);
  buffer.append("hello ");
  buffer.append("world");
  buffer.consume(6);
  EXPECT_EQ(buffer.view(), "world");
  buffer.consume(5);
  EXPECT_TRUE(buffer.empty());
  EXPECT_EQ(buffer.space().size(), buffer.capacity()) << "an emptied buffer starts at its front again";
}

TEST(Buffer, MovesItsContentToTheFrontBeforeItGrows) {
  BufferPool pool;
  Buffer buffer(pool);
  buffer.append(std::string(BufferPool::kBlockBytes, 'a'));
  buffer.consume(BufferPool::kBlockBytes - 3);
  buffer.append("bcd");
  EXPECT_EQ(buffer.view(), "aaabcd");
  EXPECT_EQ(buffer.capacity(), BufferPool::kBlockBytes);
}

TEST(Buffer, KeepsItsContentWhenItGrowsByPowersOfTwo) {
  BufferPool pool;
  Buffer buffer(pool);
  buffer.append("start");
  buffer.consume(2);
  buffer.append(std::string(100'000, 'x'));
  EXPECT_EQ(buffer.view(), "art" + std::string(100'000, 'x'));
  EXPECT_EQ(buffer.capacity(), 8 * BufferPool::kBlockBytes);
}

TEST(Buffer, TakesWhatIsWrittenIntoItsSpaceAndCommitted) {
  BufferPool pool;
  Buffer buffer(pool);
  buffer.reserve(4);
  buffer.space()[0] = 'o';
  buffer.space()[1] = 'k';
  buffer.commit(2);
  EXPECT_EQ(buffer.view(), "ok");
}

TEST(Buffer, IsEmptyAfterItWasMovedOrReleased) {
  BufferPool pool;
  Buffer first(pool);
  first.append("content");
  Buffer second = std::move(first);
  EXPECT_EQ(second.view(), "content");
  EXPECT_EQ(first.capacity(), 0u);  // NOLINT: the test examines a moved-from buffer
  second.release();
  EXPECT_EQ(second.capacity(), 0u);
  second.append("again");
  EXPECT_EQ(second.view(), "again");
}

#ifndef ROUTER_SANITIZED
TEST(Buffer, UsesABlockOfThePoolAgain) {
  BufferPool pool;
  Buffer first(pool);
  first.append("x");
  const char* block = first.data();
  first.release();
  Buffer second = first.same_pool();
  second.append("y");
  EXPECT_EQ(second.data(), block);
}
#endif

}  // namespace
}  // namespace router::runtime
