#include "router/dispatch/load_buckets.h"

#include <algorithm>
#include <bit>
#include <random>

#include "router/base/assert.h"

namespace router::dispatch {

namespace {
constexpr std::size_t kWordBits = 64;
constexpr std::uint64_t bit_of(std::size_t load) { return std::uint64_t{1} << (load % kWordBits); }
}  // namespace

// Every line its own seed: routers beside each other must not choose in step.
LoadBuckets::LoadBuckets() : random_state_((std::uint64_t{std::random_device{}()} << 32 | std::random_device{}()) | 1) {}

void LoadBuckets::insert(Replica& replica, std::size_t load) {
  ROUTER_ASSERT(replica.bucket_ == Replica::kNone);
  if (buckets_.size() <= load) {
    buckets_.resize(load + 1);
    occupied_.resize(load / kWordBits + 1);
  }
  replica.bucket_ = load;
  replica.place_ = buckets_[load].size();
  buckets_[load].push_back(&replica);
  occupied_[load / kWordBits] |= bit_of(load);
  first_word_ = std::min(first_word_, load / kWordBits);
  ++size_;
}

void LoadBuckets::erase(Replica& replica) {
  if (replica.bucket_ == Replica::kNone) return;
  std::vector<Replica*>& bucket = buckets_[replica.bucket_];
  bucket.back()->place_ = replica.place_;
  bucket[replica.place_] = bucket.back();
  bucket.pop_back();
  if (bucket.empty()) occupied_[replica.bucket_ / kWordBits] &= ~bit_of(replica.bucket_);
  replica.bucket_ = Replica::kNone;
  --size_;
}

Replica& LoadBuckets::pick() {
  ROUTER_ASSERT(size_ > 0);
  while (occupied_[first_word_] == 0) ++first_word_;
  const auto lowest = first_word_ * kWordBits + static_cast<std::size_t>(std::countr_zero(occupied_[first_word_]));
  const std::vector<Replica*>& bucket = buckets_[lowest];
  if (bucket.size() == 1) return *bucket.front();
  return *bucket[((random() >> 32) * bucket.size()) >> 32];  // fewer than 2^32 replicas
}

std::uint64_t LoadBuckets::random() {
  random_state_ ^= random_state_ >> 12;
  random_state_ ^= random_state_ << 25;
  random_state_ ^= random_state_ >> 27;
  return random_state_ * 0x2545F4914F6CDD1DULL;
}

}  // namespace router::dispatch
