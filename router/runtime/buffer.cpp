#include "router/runtime/buffer.h"

#include <new>

#include "router/base/assert.h"
#include "router/runtime/memory_reserve.h"

namespace router::runtime {

void Buffer::reserve(std::size_t bytes) {
  ROUTER_ASSERT(pool_ != nullptr);
  const std::size_t held = size();
  if (data_ != nullptr && capacity_ >= held + bytes) {
    std::memmove(data_, data_ + begin_, held);
  } else {
    std::size_t wanted = BufferPool::kBlockBytes;
    while (wanted < held + bytes) wanted *= 2;
    char* larger = pool_->take(wanted);
    if (data_ != nullptr) {
      std::memcpy(larger, data_ + begin_, held);
      pool_->give(data_, capacity_);
    }
    data_ = larger;
    capacity_ = wanted;
  }
  begin_ = 0;
  end_ = held;
}

void Buffer::release() {
  if (data_ != nullptr) pool_->give(data_, capacity_);
  data_ = nullptr;
  begin_ = end_ = capacity_ = 0;
}

BufferPool::BufferPool(const ShardLocal* of) : of_(of) { kept_.reserve(kBlocksKept); }

BufferPool::~BufferPool() {
  for (char* block : kept_) ::operator delete(block);
}

char* BufferPool::take(std::size_t bytes) {
  ROUTER_ASSERT(of_ == nullptr || of_->is_here());
  if (bytes == kBlockBytes && !kept_.empty()) {
    char* block = kept_.back();
    kept_.pop_back();
    return block;
  }
  if (memory_is_short()) throw std::bad_alloc();  // the memory reserve is for code that must not fail
  return static_cast<char*>(::operator new(bytes));
}

void BufferPool::give(char* block, std::size_t bytes) noexcept {
  ROUTER_ASSERT(of_ == nullptr || of_->is_here());
#ifndef ROUTER_SANITIZED
  if (bytes == kBlockBytes && kept_.size() < kBlocksKept) {
    kept_.push_back(block);  // within the capacity of `kept_`: nothing is allocated
    return;
  }
#else
  static_cast<void>(bytes);
#endif
  ::operator delete(block);
}

}  // namespace router::runtime
