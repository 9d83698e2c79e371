#include "router/fleet/home.h"

namespace router::fleet {

namespace {

constexpr std::uint64_t kFnvOffset = 14695981039346656037ULL;
constexpr std::uint64_t kFnvPrime = 1099511628211ULL;

std::uint64_t fnv(std::uint64_t hash, std::string_view text) {
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * kFnvPrime;
  return hash;
}

}  // namespace

std::uint64_t home_weight(std::string_view member_key, std::string_view name_space) {
  std::uint64_t hash = fnv(fnv(fnv(kFnvOffset, member_key), std::string_view("\0", 1)), name_space);
  // FNV's high bits depend little on the last bytes: the finalizer of SplitMix64 spreads them.
  hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9ULL;
  hash = (hash ^ (hash >> 27)) * 0x94d049bb133111ebULL;
  return hash ^ (hash >> 31);
}

}  // namespace router::fleet
