#include "router/base/ids.h"

#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>

namespace router {
namespace {

constexpr std::size_t kUuidBytes = 16;

/// Random bytes of this thread, refilled 64 UUIDs at a time.
class RandomBlock {
 public:
  const std::uint8_t* take() {
    if (next_ == bytes_.size()) {
      if (RAND_bytes(bytes_.data(), static_cast<int>(bytes_.size())) != 1)
        std::abort();  // without random numbers the router must not continue
      next_ = 0;
    }
    const std::uint8_t* taken = bytes_.data() + next_;
    next_ += kUuidBytes;
    return taken;
  }

 private:
  std::array<std::uint8_t, 64 * kUuidBytes> bytes_{};
  std::size_t next_ = bytes_.size();
};

thread_local RandomBlock random_block;

/// The place of the two digits of each byte. Between them are the dashes.
constexpr std::array<std::uint8_t, kUuidBytes> kPlaces = {0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34};
constexpr std::array<std::uint8_t, 4> kDashes = {8, 13, 18, 23};

constexpr auto kIsHex = [] {
  std::array<unsigned, 256> is_hex{};
  for (const char c : std::string_view("0123456789abcdefABCDEF")) is_hex[static_cast<unsigned char>(c)] = 1;
  return is_hex;
}();

}  // namespace

/// Without branches: one runs for nearly every request.
UuidText new_uuid() {
  static constexpr char kHex[] = "0123456789abcdef";
  std::array<std::uint8_t, kUuidBytes> bytes;
  std::copy_n(random_block.take(), kUuidBytes, bytes.begin());
  bytes[6] = static_cast<std::uint8_t>((bytes[6] & 0x0f) | 0x40);  // version 4
  bytes[8] = static_cast<std::uint8_t>((bytes[8] & 0x3f) | 0x80);  // variant of RFC 9562
  UuidText text;
  for (const std::size_t place : kDashes) text[place] = '-';
  for (std::size_t i = 0; i < kUuidBytes; ++i) {
    text[kPlaces[i]] = kHex[bytes[i] >> 4];
    text[kPlaces[i] + 1U] = kHex[bytes[i] & 0x0f];
  }
  return text;
}

bool is_uuid(std::string_view text) {
  if (text.size() != UuidText{}.size()) return false;
  unsigned good = 1;
  for (const std::size_t place : kDashes) good &= text[place] == '-' ? 1U : 0U;
  for (const std::size_t place : kPlaces) {
    good &= kIsHex[static_cast<unsigned char>(text[place])] & kIsHex[static_cast<unsigned char>(text[place + 1])];
  }
  return good != 0;
}

}  // namespace router
