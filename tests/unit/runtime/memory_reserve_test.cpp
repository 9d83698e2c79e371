#include "router/runtime/memory_reserve.h"

#include <gtest/gtest.h>

#include <new>

namespace router::runtime {
namespace {

TEST(MemoryReserve, IsGivenUpOnceAndPutBackWhenThereIsMemoryAgain) {
  EXPECT_FALSE(memory_is_short()) << "nobody has asked for a reserve yet";
  keep_memory_reserve();
  const std::new_handler when_nothing_is_left = std::get_new_handler();
  ASSERT_NE(when_nothing_is_left, nullptr);
  when_nothing_is_left();  // the allocation is tried again after this
  EXPECT_THROW(when_nothing_is_left(), std::bad_alloc);
  EXPECT_FALSE(memory_is_short()) << "there is memory: the reserve is there again";
  when_nothing_is_left();
  EXPECT_FALSE(memory_is_short());
  std::set_new_handler(nullptr);
}

}  // namespace
}  // namespace router::runtime
