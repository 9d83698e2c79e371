#include "router/base/frame_cache.h"

#include <array>
#include <new>

namespace router {
namespace {

constexpr std::size_t kClassBytes = 64;
constexpr std::size_t kClasses = 96;      // blocks of up to 6 KB; the frame of an exchange with a replica has 5.2 KB
constexpr std::size_t kFramesKept = 256;  // free blocks for each class and thread

struct FreeFrame {
  FreeFrame* next;
};

class FrameCache {
 public:
  ~FrameCache() {
    for (Class& size_class : classes_) {
      while (FreeFrame* frame = size_class.first) {
        size_class.first = frame->next;
        ::operator delete(frame);
      }
    }
  }

  void* take(std::size_t index) {
    Class& size_class = classes_[index];
    FreeFrame* frame = size_class.first;
    if (frame == nullptr) return ::operator new((index + 1) * kClassBytes);
    size_class.first = frame->next;
    --size_class.kept;
    return frame;
  }

  void give(void* memory, std::size_t index) noexcept {
    Class& size_class = classes_[index];
    if (size_class.kept == kFramesKept) return ::operator delete(memory);
    ++size_class.kept;
    size_class.first = new (memory) FreeFrame{size_class.first};
  }

 private:
  struct Class {
    FreeFrame* first = nullptr;
    std::size_t kept = 0;
  };
  std::array<Class, kClasses> classes_;
};

thread_local FrameCache cache;

}  // namespace

void* allocate_frame(std::size_t size) {
#ifndef ROUTER_SANITIZED
  const std::size_t index = (size - 1) / kClassBytes;
  if (index < kClasses) return cache.take(index);
#endif
  return ::operator new(size);
}

void free_frame(void* frame, std::size_t size) noexcept {
#ifndef ROUTER_SANITIZED
  const std::size_t index = (size - 1) / kClassBytes;
  if (index < kClasses) return cache.give(frame, index);
#else
  static_cast<void>(size);
#endif
  ::operator delete(frame);
}

}  // namespace router
