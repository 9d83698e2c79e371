#pragma once

#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>

namespace router::runtime {

/// Passes lines from one thread to another: a ring buffer of bytes that is published line by line, so that the reader sees only
/// whole lines. Wait-free on both sides. Positions only increase; their low bits are the offset in the ring.
class LineRing {
 public:
  /// `capacity` is rounded up to a power of two. The memory is touched as it is used.
  explicit LineRing(std::size_t capacity) : capacity_(std::bit_ceil(capacity)), bytes_(new char[capacity_]) {}

  // --- the writing thread ---
  /// False if there is no room; then the line is dropped and counted.
  bool push(std::string_view line) {
    const std::size_t head = head_.load(std::memory_order_relaxed);
    if (line.size() > capacity_ - (head - seen_tail_)) {
      seen_tail_ = tail_.load(std::memory_order_acquire);
      if (line.size() > capacity_ - (head - seen_tail_)) {
        dropped_.store(dropped_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
        return false;
      }
    }
    const std::size_t place = head & (capacity_ - 1);
    const std::size_t before_end = std::min(line.size(), capacity_ - place);
    std::memcpy(bytes_.get() + place, line.data(), before_end);
    std::memcpy(bytes_.get(), line.data() + before_end, line.size() - before_end);
    head_.store(head + line.size(), std::memory_order_release);
    return true;
  }
  bool half_full() {
    const std::size_t head = head_.load(std::memory_order_relaxed);
    if (head - seen_tail_ < capacity_ / 2) return false;
    seen_tail_ = tail_.load(std::memory_order_acquire);
    return head - seen_tail_ >= capacity_ / 2;
  }

  // --- the reading thread ---
  /// The bytes that were published and not taken yet, in one or two pieces.
  struct Content {
    std::array<iovec, 2> pieces{};
    std::size_t size = 0;
  };
  Content content() const {
    const std::size_t tail = tail_.load(std::memory_order_relaxed);
    const std::size_t size = head_.load(std::memory_order_acquire) - tail;
    const std::size_t place = tail & (capacity_ - 1);
    const std::size_t before_end = std::min(size, capacity_ - place);
    return {{iovec{bytes_.get() + place, before_end}, iovec{bytes_.get(), size - before_end}}, size};
  }
  void take(std::size_t size) { tail_.store(tail_.load(std::memory_order_relaxed) + size, std::memory_order_release); }

  // --- any thread ---
  std::uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }

 private:
  const std::size_t capacity_;
  const std::unique_ptr<char[]> bytes_;
  alignas(64) std::atomic<std::size_t> head_{0};
  std::size_t seen_tail_ = 0;  // the writing thread's copy of `tail_`
  std::atomic<std::uint64_t> dropped_{0};
  alignas(64) std::atomic<std::size_t> tail_{0};
};

}  // namespace router::runtime
