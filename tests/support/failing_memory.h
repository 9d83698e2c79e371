#pragma once

#include <cstddef>

namespace router::test {

/// While it lives, `operator new` fails on this thread: `served` requests get memory, then `count` of them throw
/// std::bad_alloc. One at a time. For binaries that link `test_failing_memory`.
class FailingMemory {
 public:
  static constexpr std::size_t kAll = static_cast<std::size_t>(-1);
  explicit FailingMemory(std::size_t served, std::size_t count = kAll);
  FailingMemory(const FailingMemory&) = delete;
  FailingMemory& operator=(const FailingMemory&) = delete;
  ~FailingMemory();

  /// Requests that failed so far.
  std::size_t failed() const;
  /// All requests so far.
  std::size_t requests() const;

  /// While it lives, nothing fails and nothing is counted: for what a test itself does meanwhile.
  class Pause {
   public:
    Pause();
    Pause(const Pause&) = delete;
    Pause& operator=(const Pause&) = delete;
    ~Pause();

   private:
    const bool was_active_;
  };

  /// What this thread has taken and not given back, since it began. For comparison: of two moments.
  static std::size_t outstanding();
};

/// While it lives, this thread's frame cache (router/base/frame_cache.h) has nothing to give: each coroutine's frame is asked
/// of `operator new`, whatever ran before. It holds what the cache had kept, and gives it back. Made before a FailingMemory.
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
