#pragma once

#include <array>
#include <mutex>
#include <vector>

#include "tls/context.h"

namespace router::tls {

/// One key as in RFC 5077, section 4: its public name, AES-256-CBC, HMAC-SHA-256.
struct TicketKeys::Keys {
  std::array<unsigned char, 16> name;
  std::array<unsigned char, 32> cipher;
  std::array<unsigned char, 32> mac;
};

/// The lock is held for a copy of 80 bytes, once a handshake: beside the 600 microseconds that a handshake takes, nothing.
struct TicketKeys::Impl {
  static constexpr std::size_t kRandomKept = 3;  // rotated hourly: a ticket can be redeemed for two to three hours
  static constexpr std::size_t kFilesMax = 16;

  ~Impl();
  Keys newest() const;
  /// The key of that name; `is_newest` says whether it is still the one that encrypts.
  bool find(const unsigned char* name, Keys& into, bool& is_newest) const;

  /// Takes another set in its place and overwrites the old one in memory.
  void replace(std::vector<Keys>& fresh) noexcept;

  mutable std::mutex mutex;
  std::vector<Keys> keys;  // the first encrypts
  bool random = true;      // control thread only
};

}  // namespace router::tls
