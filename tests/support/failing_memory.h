#pragma once

#include <cstddef>

namespace router::test {

/// While it lives, `operator new` fails on this thread: `served` allocations succeed, then `count` of them throw
/// std::bad_alloc. Only one object at a time. For binaries that link `test_failing_memory`.
class FailingMemory {
 public:
  static constexpr std::size_t kAll = static_cast<std::size_t>(-1);
  explicit FailingMemory(std::size_t served, std::size_t count = kAll);
  FailingMemory(const FailingMemory&) = delete;
  FailingMemory& operator=(const FailingMemory&) = delete;
  ~FailingMemory();

  /// Allocations that have failed so far.
  std::size_t failed() const;
  /// All allocations so far.
  std::size_t requests() const;

  /// While it lives, no allocation fails or is counted. For the test's own allocations.
  class Pause {
   public:
    Pause();
    Pause(const Pause&) = delete;
    Pause& operator=(const Pause&) = delete;
    ~Pause();

   private:
    const bool was_active_;
  };

  /// Allocations of this thread that were not freed, since the thread began. Tests compare the values of two moments.
  static std::size_t outstanding();
};

/// While it lives, this thread's frame cache (router/base/frame_cache.h) is empty: each coroutine's frame comes from `operator
/// new`. It holds the frames of the cache, and returns them at its end. A test creates it before a FailingMemory.
class EmptyFrameCache {
 public:
  EmptyFrameCache();
  EmptyFrameCache(const EmptyFrameCache&) = delete;
  EmptyFrameCache& operator=(const EmptyFrameCache&) = delete;
  ~EmptyFrameCache();

 private:
  struct Frame {
    Frame* next;
    std::size_t size;
  };
  Frame* taken_ = nullptr;
};

}  // namespace router::test
