#include "router/runtime/memory_reserve.h"

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

namespace router::runtime {
namespace {

constexpr std::size_t kReserve = std::size_t{4} * 1024 * 1024;  // bytes of address space; never touched

std::atomic<void*> reserve{nullptr};
std::atomic<bool> kept{false};

bool put_back() {
  void* fresh = std::malloc(kReserve);
  if (fresh == nullptr) return false;
  void* nothing = nullptr;
  if (!reserve.compare_exchange_strong(nothing, fresh)) std::free(fresh);  // another thread was faster
  return true;
}

/// operator new calls this when an allocation fails, and then tries again.
void use_reserve() {
  void* block = reserve.exchange(nullptr);
  if (block == nullptr) throw std::bad_alloc();
  std::free(block);
}

}  // namespace

void keep_memory_reserve() {
  if (!put_back()) return;
  kept = true;
  std::set_new_handler(use_reserve);
}

bool memory_is_short() {
  if (reserve.load(std::memory_order_relaxed) != nullptr || !kept.load(std::memory_order_relaxed)) return false;
  return !put_back();
}

}  // namespace router::runtime
