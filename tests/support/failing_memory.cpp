#include "tests/support/failing_memory.h"

#include <cstdlib>
#include <new>
#include <utility>

#include "router/base/frame_cache.h"

namespace {

thread_local bool active = false;
thread_local std::size_t served_left = 0;
thread_local std::size_t failures_left = 0;
thread_local std::size_t failures = 0;
thread_local std::size_t all_requests = 0;
thread_local std::size_t taken = 0;  // allocations without those that were freed

void* take(std::size_t size) {
  void* memory = std::malloc(size == 0 ? 1 : size);
  if (memory != nullptr) ++taken;
  return memory;
}

void give(void* memory) {
  if (memory != nullptr) --taken;
  std::free(memory);
}

bool fails_now() {
  if (!active) return false;
  ++all_requests;
  if (served_left > 0) return --served_left, false;
  if (failures_left == 0) return false;
  --failures_left;
  ++failures;
  return true;
}

}  // namespace

// For the whole binary: every form of new calls these, except for over-aligned memory.
void* operator new(std::size_t size) {
  if (fails_now()) throw std::bad_alloc();
  if (void* memory = take(size)) return memory;
  throw std::bad_alloc();
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return fails_now() ? nullptr : take(size); }
void operator delete(void* memory) noexcept { give(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { give(memory); }
void operator delete(void* memory, std::size_t) noexcept { give(memory); }

namespace router::test {

FailingMemory::FailingMemory(std::size_t served, std::size_t count) {
  served_left = served;
  failures_left = count;
  failures = 0;
  all_requests = 0;
  active = true;
}

FailingMemory::~FailingMemory() { active = false; }

EmptyFrameCache::EmptyFrameCache() {
#ifndef ROUTER_SANITIZED             // under a sanitizer the cache keeps nothing
  constexpr std::size_t kStep = 64;  // the cache keeps no larger frames; a request for one has no effect
  const FailingMemory none(0);
  for (std::size_t size = kStep; size <= 128 * kStep; size += kStep) {
    try {
      for (;;) taken_ = new (allocate_frame(size)) Frame{taken_, size};
    } catch (const std::bad_alloc&) {
    }
  }
#endif
}

EmptyFrameCache::~EmptyFrameCache() {
  while (Frame* frame = taken_) {
    taken_ = frame->next;
    free_frame(frame, frame->size);
  }
}

std::size_t FailingMemory::failed() const { return failures; }
std::size_t FailingMemory::requests() const { return all_requests; }

FailingMemory::Pause::Pause() : was_active_(std::exchange(active, false)) {}
FailingMemory::Pause::~Pause() { active = was_active_; }

std::size_t FailingMemory::outstanding() { return taken; }

}  // namespace router::test
