#pragma once

#include <atomic>
#include <cstddef>

namespace router::dispatch {

/// The memory of the requests of a process that are held for a first replica, over all deployments and shards. Any thread. Only
/// held requests touch it (docs/decisions/0077).
class HeldBytes {
 public:
  HeldBytes() = default;
  HeldBytes(const HeldBytes&) = delete;
  HeldBytes& operator=(const HeldBytes&) = delete;

  std::size_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

  /// The bytes of one request. The destructor gives them back. One shard.
  class Share {
   public:
    explicit Share(HeldBytes& all) : all_(all) {}
    Share(const Share&) = delete;
    Share& operator=(const Share&) = delete;
    ~Share() { all_.bytes_.fetch_sub(bytes_, std::memory_order_relaxed); }

    /// Sets the size to `bytes`, or to what it was if that is more. Returns false and changes nothing if all together would
    /// have more than `max`.
    bool grow(std::size_t bytes, std::size_t max) {
      if (bytes <= bytes_) return true;
      const std::size_t more = bytes - bytes_;
      const std::size_t before = all_.bytes_.fetch_add(more, std::memory_order_relaxed);
      if (before + more > max) {
        all_.bytes_.fetch_sub(more, std::memory_order_relaxed);
        return false;
      }
      bytes_ = bytes;
      return true;
    }

   private:
    HeldBytes& all_;
    std::size_t bytes_ = 0;
  };

 private:
  std::atomic<std::size_t> bytes_{0};
};

}  // namespace router::dispatch
