#include "tls/buffer_memory.h"

#include <malloc.h>
#include <openssl/crypto.h>

#include <array>
#include <cstddef>
#include <cstdlib>

#include "tls/settings.h"

namespace router::tls {
namespace {

#ifdef ROUTER_SANITIZED
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif
constexpr std::size_t kKept = 8;

/// Keeps free blocks for buffers of nearly the same size. Each block has the largest size, so it fits every buffer.
class Buffers {
 public:
  constexpr Buffers(std::size_t smallest, std::size_t largest) : smallest_(smallest), largest_(largest) {}
  Buffers(const Buffers&) = delete;
  Buffers& operator=(const Buffers&) = delete;
  ~Buffers() {
    while (count_ > 0) std::free(blocks_[--count_]);
    closed_ = true;
  }

  bool fit(std::size_t bytes) const { return bytes >= smallest_ && bytes <= largest_; }
  void* take() {
    if (count_ == 0) return std::malloc(largest_);
    void* const block = blocks_[--count_];
    return block;
  }
  /// Keeps the block if its size fits and there is room; else returns false.
  bool keep(void* block, std::size_t usable) {
    const bool is_ours = usable >= largest_ && usable < largest_ + kSlack;
    if (!is_ours || closed_ || count_ == kKept) return false;
    blocks_[count_++] = block;
    return true;
  }

 private:
  static constexpr std::size_t kSlack = 64;  // what the heap may add to a block

  const std::size_t smallest_;
  const std::size_t largest_;
  std::array<void*, kKept> blocks_{};
  std::size_t count_ = 0;
  bool closed_ = false;  // the thread is ending
};

constexpr std::size_t kOverhead = 1024;  // bytes that OpenSSL adds to the size of the buffer
thread_local Buffers reading(kReadBuffer, kReadBuffer + kOverhead);
thread_local Buffers writing(kWriteBuffer, kWriteBuffer + kOverhead);

void* take(std::size_t bytes, const char*, int) {
  if (bytes < kWriteBuffer) return bytes > 0 ? std::malloc(bytes) : nullptr;
  if (writing.fit(bytes)) return writing.take();
  return reading.fit(bytes) ? reading.take() : std::malloc(bytes);
}

void* resize(void* block, std::size_t bytes, const char*, int) { return std::realloc(block, bytes); }

void give(void* block, const char*, int) {
  if (block == nullptr) return;
  const std::size_t usable = ::malloc_usable_size(block);
  if (usable >= kWriteBuffer && (writing.keep(block, usable) || reading.keep(block, usable))) return;
  std::free(block);
}

}  // namespace

bool keep_buffer_memory() { return kSanitized || CRYPTO_set_mem_functions(take, resize, give) == 1; }

}  // namespace router::tls
