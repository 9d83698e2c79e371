#include "router/dispatch/load_buckets.h"

#include <algorithm>
#include <bit>
#include <new>
#include <random>

#include "router/base/assert.h"

namespace router::dispatch {

namespace {
constexpr std::size_t kWordBits = 64;
constexpr std::uint64_t bit_of(std::size_t load) { return std::uint64_t{1} << (load % kWordBits); }
}  // namespace

// Each queue has its own seed: several routers must not choose the same replicas at the same time.
LoadBuckets::LoadBuckets() : random_state_((std::uint64_t{std::random_device{}()} << 32 | std::random_device{}()) | 1) {}

void LoadBuckets::reserve(std::size_t replicas, std::size_t load_max) {
  const std::size_t loads = std::min(load_max, kLoadsReserved) + 1;
  occupied_.resize(std::max(occupied_.size(), (loads - 1) / kWordBits + 1));
  buckets_.resize(std::max(buckets_.size(), loads));
  for (std::size_t load = 0; load < loads; ++load) buckets_[load].reserve(replicas);
}

/// The bucket of `load`, with room for one more replica; without memory, the next lower one that has room. The lowest bucket
/// has room for all.
std::size_t LoadBuckets::bucket_for(std::size_t load) noexcept {
  const auto has_room = [this](std::size_t bucket) { return buckets_[bucket].size() < buckets_[bucket].capacity(); };
  if (load < buckets_.size() && has_room(load)) return load;
  try {
    if (buckets_.size() <= load) {
      occupied_.resize(std::max(occupied_.size(), load / kWordBits + 1));
      buckets_.resize(load + 1);
    }
    buckets_[load].reserve(2 * buckets_[load].size() + 1);
    return load;
  } catch (const std::bad_alloc&) {
    exact_ = false;
  }
  std::size_t bucket = std::min(load, buckets_.size() - 1);
  while (!has_room(bucket)) --bucket;
  return bucket;
}

void LoadBuckets::insert(Replica& replica, std::size_t load) noexcept {
  ROUTER_ASSERT(replica.bucket_ == Replica::kNone);
  const std::size_t bucket = bucket_for(load);
  replica.bucket_ = bucket;
  replica.index_ = buckets_[bucket].size();
  buckets_[bucket].push_back(&replica);
  occupied_[bucket / kWordBits] |= bit_of(bucket);
  first_word_ = std::min(first_word_, bucket / kWordBits);
  ++size_;
}

void LoadBuckets::erase(Replica& replica) noexcept {
  if (replica.bucket_ == Replica::kNone) return;
  std::vector<Replica*>& bucket = buckets_[replica.bucket_];
  bucket.back()->index_ = replica.index_;
  bucket[replica.index_] = bucket.back();
  bucket.pop_back();
  if (bucket.empty()) occupied_[replica.bucket_ / kWordBits] &= ~bit_of(replica.bucket_);
  replica.bucket_ = Replica::kNone;
  --size_;
}

Replica& LoadBuckets::pick() noexcept {
  ROUTER_ASSERT(size_ > 0);
  while (occupied_[first_word_] == 0) ++first_word_;
  const auto lowest = first_word_ * kWordBits + static_cast<std::size_t>(std::countr_zero(occupied_[first_word_]));
  const std::vector<Replica*>& bucket = buckets_[lowest];
  if (bucket.size() == 1) return *bucket.front();
  return *bucket[((random() >> 32) * bucket.size()) >> 32];  // fewer than 2^32 replicas
}

std::uint64_t LoadBuckets::random() noexcept {
  random_state_ ^= random_state_ >> 12;
  random_state_ ^= random_state_ << 25;
  random_state_ ^= random_state_ >> 27;
  return random_state_ * 0x2545F4914F6CDD1DULL;
}

}  // namespace router::dispatch
