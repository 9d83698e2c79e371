#pragma once

#include <cstddef>
#include <cstring>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "router/runtime/shard_local.h"

namespace router::runtime {

class BufferPool;

/// A queue of bytes: filled at the end, consumed from the front. Holds no memory until `reserve`. Move-only; its block returns
/// to the shard's pool when it is released or destroyed. One shard.
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(BufferPool& pool) : pool_(&pool) {}
  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    Buffer taken(std::move(other));
    swap(taken);
    return *this;
  }
  ~Buffer() { release(); }

  std::string_view view() const { return {data_ + begin_, end_ - begin_}; }
  char* data() { return data_ + begin_; }
  std::size_t size() const { return end_ - begin_; }
  bool empty() const { return begin_ == end_; }
  std::size_t capacity() const { return capacity_; }
  /// Free room behind the content: write there, then call `commit`.
  std::span<char> space() { return {data_ + end_, capacity_ - end_}; }
  void commit(std::size_t bytes) { end_ += bytes; }
  void consume(std::size_t bytes) {
    begin_ += bytes;
    if (begin_ == end_) begin_ = end_ = 0;
  }
  /// Makes room for `bytes` more by moving the content to the front, or into a larger block. Views into the buffer become
  /// invalid. Throws std::bad_alloc when memory is short; then nothing has changed.
  void reserve(std::size_t bytes);
  void append(std::string_view bytes) {
    if (!bytes.empty()) std::memcpy(extend(bytes.size()), bytes.data(), bytes.size());
  }
  /// Adds `bytes` to the content and returns their beginning; the caller writes them. Throws like `reserve`.
  char* extend(std::size_t bytes) {
    if (capacity_ - end_ < bytes) reserve(bytes);
    end_ += bytes;
    return data_ + end_ - bytes;
  }
  /// An empty buffer of the same pool.
  Buffer same_pool() const { return Buffer(*pool_); }
  /// Drops the content and returns the block to the pool.
  void release();

 private:
  void swap(Buffer& other) noexcept {
    std::swap(pool_, other.pool_);
    std::swap(data_, other.data_);
    std::swap(begin_, other.begin_);
    std::swap(end_, other.end_);
    std::swap(capacity_, other.capacity_);
  }

  BufferPool* pool_ = nullptr;
  char* data_ = nullptr;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::size_t capacity_ = 0;
};

/// The blocks of one shard for messages in flight; an idle connection holds none. At most kBlocksKept free blocks are kept;
/// blocks larger than kBlockBytes are never kept.
class BufferPool {
 public:
  static constexpr std::size_t kBlockBytes = 16 * 1024;
  static constexpr std::size_t kBlocksKept = 256;

  BufferPool() : BufferPool(nullptr) {}
  explicit BufferPool(const ShardLocal& of) : BufferPool(&of) {}
  BufferPool(const BufferPool&) = delete;
  BufferPool& operator=(const BufferPool&) = delete;
  ~BufferPool();

 private:
  friend class Buffer;
  explicit BufferPool(const ShardLocal* of);
  char* take(std::size_t bytes);
  void give(char* block, std::size_t bytes) noexcept;
  const ShardLocal* of_;
  std::vector<char*> kept_;
};

}  // namespace router::runtime
