#include "bench/micro/measured.h"

#include <string>

#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#else
#define CALLGRIND_ZERO_STATS static_cast<void>(0)
#define CALLGRIND_DUMP_STATS_AT(text) static_cast<void>(text)
#endif

// The C library's own, under the names that it keeps for those who put themselves before it.
extern "C" void* __libc_malloc(std::size_t size);
extern "C" void* __libc_calloc(std::size_t count, std::size_t size);
extern "C" void* __libc_realloc(void* memory, std::size_t size);
extern "C" void* __libc_memalign(std::size_t alignment, std::size_t size);

namespace {
// In the thread's static block: the usual way of reaching it may itself allocate.
__attribute__((tls_model("initial-exec"))) thread_local std::size_t allocations_so_far = 0;
}  // namespace

#define EXPORTED extern "C" __attribute__((visibility("default")))

EXPORTED void* malloc(std::size_t size) {
  ++allocations_so_far;
  return __libc_malloc(size);
}
EXPORTED void* calloc(std::size_t number, std::size_t size) {
  ++allocations_so_far;
  return __libc_calloc(number, size);
}
EXPORTED void* realloc(void* memory, std::size_t size) {
  ++allocations_so_far;
  return __libc_realloc(memory, size);
}
EXPORTED void* aligned_alloc(std::size_t alignment, std::size_t size) {
  ++allocations_so_far;
  return __libc_memalign(alignment, size);
}

namespace router::bench {

std::size_t allocations() { return allocations_so_far; }

Measured::Measured(benchmark::State& state, std::size_t each) : state_(state), each_(each), before_(allocations()) {
  CALLGRIND_ZERO_STATS;
}

Measured::~Measured() {
  const std::size_t taken = allocations() - before_;
  const std::size_t things = static_cast<std::size_t>(state_.iterations()) * each_;
  CALLGRIND_DUMP_STATS_AT(std::to_string(things).c_str());
  state_.counters["each"] = static_cast<double>(each_);
  state_.counters["allocations"] = static_cast<double>(taken) / static_cast<double>(things == 0 ? 1 : things);
}

}  // namespace router::bench
