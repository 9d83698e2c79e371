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

/// The mutex is held for a copy of 80 bytes, once in each handshake, which takes 600 microseconds in all.
struct TicketKeys::Impl {
  static constexpr std::size_t kRandomKept = 3;  // rotated hourly: a ticket can be used for two to three hours
  static constexpr std::size_t kFilesMax = 16;

  ~Impl();
  Keys newest() const;
  /// Finds the key of that name. `is_newest`: new tickets are encrypted with it.
  bool find(const unsigned char* name, Keys& into, bool& is_newest) const;

  /// Replaces the keys and overwrites the old ones in memory.
  void replace(std::vector<Keys>& fresh) noexcept;

  mutable std::mutex mutex;
  std::vector<Keys> keys;  // the first encrypts
  bool random = true;      // control thread only
};

}  // namespace router::tls
