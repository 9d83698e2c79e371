/// For LD_PRELOAD: makes allocations of one thread fail. FAIL_ALLOCATIONS_FILE names a file that becomes four 64-bit numbers in
/// the machine's byte order: the thread's id (0: nobody), how many more requests it is served, how many fail after that, and
/// how many requests it has made. C++'s new alone: malloc's callers in the C library do not all bear that (glob(3) frees
/// twice). Whoever tests writes them.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <new>

namespace {

struct Order {
  std::atomic<std::uint64_t> thread;
  std::uint64_t served;  // of that thread alone from here on
  std::uint64_t failing;
  std::uint64_t requests;
};

Order* order = nullptr;
__attribute__((tls_model("initial-exec"))) thread_local std::uint64_t own_id = 0;

__attribute__((constructor)) void map_order() {
  const char* path = std::getenv("FAIL_ALLOCATIONS_FILE");
  if (path == nullptr) return;
  const int file = ::open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) return;
  if (::ftruncate(file, sizeof(Order)) == 0) {
    void* memory = ::mmap(nullptr, sizeof(Order), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (memory != MAP_FAILED) order = static_cast<Order*>(memory);
  }
  ::close(file);
}

bool fails() {
  if (order == nullptr) return false;
  const std::uint64_t chosen = order->thread.load(std::memory_order_acquire);
  if (chosen == 0) return false;
  if (own_id == 0) own_id = static_cast<std::uint64_t>(::syscall(SYS_gettid));
  if (chosen != own_id) return false;
  ++order->requests;
  if (order->served > 0) return --order->served, false;
  if (order->failing == 0) return false;
  --order->failing;
  return true;
}

}  // namespace

// Every other form of new ends here by default, but for over-aligned memory.
__attribute__((visibility("default"))) void* operator new(std::size_t size) {
  void* memory = fails() ? nullptr : std::malloc(size == 0 ? 1 : size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
