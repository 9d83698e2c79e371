#include "router/runtime/memory_reserve.h"

#include <gtest/gtest.h>

#include <new>

namespace router::runtime {
namespace {

TEST(MemoryReserve, IsGivenUpOnceAndPutBackWhenThereIsMemoryAgain) {
  EXPECT_FALSE(memory_is_short()) << "there is no reserve yet";
  keep_memory_reserve();
  const std::new_handler when_nothing_is_left = std::get_new_handler();
  ASSERT_NE(when_nothing_is_left, nullptr);
  when_nothing_is_left();  // after this call, new tries the allocation again
  EXPECT_THROW(when_nothing_is_left(), std::bad_alloc);
  EXPECT_FALSE(memory_is_short()) << "memory is available, so the reserve was allocated again";
  when_nothing_is_left();
  EXPECT_FALSE(memory_is_short());
  std::set_new_handler(nullptr);
}

}  // namespace
}  // namespace router::runtime
