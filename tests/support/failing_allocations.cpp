/// Linked into inference-router-failing, which is the router with an allocator that fails on demand. FAILING_ALLOCATIONS names
/// a file that becomes a Control. A test maps it, sets which allocations fail while the process runs, and reads which have
/// failed. C++'s operator new is one kind of allocation, OpenSSL's memory another one. tests/integration/support/failing.py is
/// the other side.
#include <execinfo.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string_view>

#include "tls/buffer_memory.h"

extern "C" char __executable_start;  // defined by the linker
extern "C" char etext;
extern "C" void* __real_aligned_alloc(std::size_t alignment, std::size_t size);  // the C library's function

namespace {

enum Thread : std::uint32_t { kShards = 1, kControl = 2, kHelpers = 4 };
enum Kind : std::uint32_t { kNew = 1, kOpenSsl = 2 };

constexpr std::size_t kFrames = 40;

/// In the machine's byte order.
struct Control {
  std::atomic<std::uint32_t> threads;        // a set of Thread; 0: nothing fails and nothing is counted
  std::atomic<std::uint32_t> kinds;          // a set of Kind
  std::atomic<std::uint64_t> first;          // this many allocations succeed
  std::atomic<std::uint64_t> times;          // and then this many fail
  std::atomic<std::uint32_t> by_handler;     // 1: the new handler runs first, as if the heap were exhausted
  std::atomic<std::uint32_t> stack_ready;    // `stack` is written
  std::atomic<std::uint64_t> seen;           // allocations that were counted
  std::atomic<std::uint64_t> failed;         // those of them that failed
  std::array<std::uint64_t, kFrames> stack;  // of the first failed allocation: offsets into the program, 0 elsewhere
};

Control* control = nullptr;
// In the thread's static block: the usual access to a thread-local variable may itself allocate.
__attribute__((tls_model("initial-exec"))) thread_local std::uint32_t own_thread = 0;

std::uint32_t this_thread() {
  if (own_thread != 0) return own_thread;
  if (::getpid() == static_cast<pid_t>(::syscall(SYS_gettid))) return own_thread = kControl;
  std::array<char, 16> name{};
  ::prctl(PR_GET_NAME, name.data());
  if (std::string_view(name.data()).starts_with("shard")) return own_thread = kShards;
  return kHelpers;  // also threads that have no name yet
}

void keep_stack() {
  std::array<void*, kFrames + 2> frames{};
  const int found = ::backtrace(frames.data(), static_cast<int>(frames.size()));
  for (int i = 2; i < found; ++i) {
    const char* address = static_cast<const char*>(frames[static_cast<std::size_t>(i)]);
    const bool ours = address >= &__executable_start && address < &etext;
    // An address within the call, not of the instruction after it.
    control->stack[static_cast<std::size_t>(i - 2)] = ours ? static_cast<std::uint64_t>(address - &__executable_start) - 1 : 0;
  }
  control->stack_ready = 1;
}

__attribute__((noinline)) bool is_to_fail(Kind kind) {
  if (control == nullptr) return false;
  const std::uint32_t threads = control->threads.load(std::memory_order_acquire);
  if (threads == 0 || (control->kinds & kind) == 0 || (threads & this_thread()) == 0) return false;
  const std::uint64_t number = control->seen++;
  if (number < control->first || number - control->first >= control->times) return false;
  if (control->failed++ == 0) keep_stack();
  return true;
}

__attribute__((noinline)) void* take(std::size_t size, std::size_t alignment) {
  for (;;) {
    void* memory = nullptr;
    if (!is_to_fail(kNew)) {
      if (size == 0) size = 1;
      memory = alignment <= alignof(std::max_align_t)
                   ? std::malloc(size)
                   : __real_aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
    } else if (control->by_handler == 0) {
      throw std::bad_alloc();
    }
    if (memory != nullptr) return memory;
    const std::new_handler handler = std::get_new_handler();
    if (handler == nullptr) throw std::bad_alloc();
    handler();
  }
}

void* take_or_nothing(std::size_t size, std::size_t alignment) noexcept {
  try {
    return take(size, alignment);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

constexpr std::size_t kUsual = alignof(std::max_align_t);

void* ssl_take(std::size_t size, const char*, int) { return size == 0 || is_to_fail(kOpenSsl) ? nullptr : std::malloc(size); }
void* ssl_resize(void* block, std::size_t size, const char*, int) {
  return is_to_fail(kOpenSsl) ? nullptr : std::realloc(block, size);
}
void ssl_give(void* block, const char*, int) { std::free(block); }

__attribute__((constructor)) void map_control() {
  std::array<void*, 4> frames{};
  ::backtrace(frames.data(), static_cast<int>(frames.size()));  // the first call loads a library
  const char* path = std::getenv("FAILING_ALLOCATIONS");
  if (path == nullptr) return;
  const int file = ::open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) return;
  if (::ftruncate(file, sizeof(Control)) == 0) {
    void* memory = ::mmap(nullptr, sizeof(Control), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (memory != MAP_FAILED) control = static_cast<Control*>(memory);
  }
  ::close(file);
}

}  // namespace

/// The linker replaces aligned_alloc by this function in the whole program. Asio's memory uses it.
extern "C" void* __wrap_aligned_alloc(std::size_t alignment, std::size_t size) {
  return is_to_fail(kNew) ? nullptr : __real_aligned_alloc(alignment, size);
}

/// Replaces the router's function, which keeps buffers.
bool router::tls::keep_buffer_memory() { return CRYPTO_set_mem_functions(ssl_take, ssl_resize, ssl_give) == 1; }

void* operator new(std::size_t size) { return take(size, kUsual); }
void* operator new[](std::size_t size) { return take(size, kUsual); }
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return take_or_nothing(size, kUsual); }
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept { return take_or_nothing(size, kUsual); }
void* operator new(std::size_t size, std::align_val_t to) { return take(size, static_cast<std::size_t>(to)); }
void* operator new[](std::size_t size, std::align_val_t to) { return take(size, static_cast<std::size_t>(to)); }
void* operator new(std::size_t size, std::align_val_t to, const std::nothrow_t&) noexcept {
  return take_or_nothing(size, static_cast<std::size_t>(to));
}
void* operator new[](std::size_t size, std::align_val_t to, const std::nothrow_t&) noexcept {
  return take_or_nothing(size, static_cast<std::size_t>(to));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { std::free(memory); }
void operator delete[](void* memory, const std::nothrow_t&) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t, const std::nothrow_t&) noexcept { std::free(memory); }
void operator delete[](void* memory, std::align_val_t, const std::nothrow_t&) noexcept { std::free(memory); }
