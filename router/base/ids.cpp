#include "router/base/ids.h"

#include <openssl/rand.h>

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

constexpr bool is_dash_place(std::size_t index) { return index == 8 || index == 13 || index == 18 || index == 23; }

constexpr bool is_hex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

}  // namespace

UuidText new_uuid() {
  static constexpr char kHex[] = "0123456789abcdef";
  const std::uint8_t* random = random_block.take();
  UuidText text;
  std::size_t place = 0;
  for (std::size_t i = 0; i < kUuidBytes; ++i) {
    std::uint8_t byte = random[i];
    if (i == 6) byte = static_cast<std::uint8_t>((byte & 0x0f) | 0x40);  // version 4
    if (i == 8) byte = static_cast<std::uint8_t>((byte & 0x3f) | 0x80);  // variant of RFC 9562
    if (is_dash_place(place)) text[place++] = '-';
    text[place++] = kHex[byte >> 4];
    text[place++] = kHex[byte & 0x0f];
  }
  return text;
}

bool is_uuid(std::string_view text) {
  if (text.size() != UuidText{}.size()) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (is_dash_place(i) ? text[i] != '-' : !is_hex(text[i])) return false;
  }
  return true;
}

}  // namespace router
