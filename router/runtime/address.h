#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace router::runtime {

/// An IP address with a port, in the kernel's format.
class Address {
 public:
  Address() = default;
  /// `text` is an IPv4 or IPv6 address, the latter with or without brackets. Returns nothing if it is a name.
  static std::optional<Address> parse(std::string_view text, std::uint16_t port);
  static Address from(const sockaddr* address, socklen_t length);

  std::span<const std::byte> bytes() const { return {reinterpret_cast<const std::byte*>(&storage_), length_}; }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage_); }
  socklen_t length() const { return length_; }
  int family() const { return storage_.sin6_family; }
  std::uint16_t port() const;
  /// Converts an IPv4 address in IPv6 form (`::ffff:10.1.2.3`: a client of a listener for both) to IPv4. Returns any other
  /// address unchanged.
  Address unmapped() const;
  /// `10.1.2.3` or `fd00::1`.
  std::string ip() const;
  /// `10.1.2.3:80` or `[fd00::1]:80`.
  std::string text() const;

  friend bool operator==(const Address& a, const Address& b);

 private:
  sockaddr_in6 storage_{};  // or the smaller sockaddr_in
  socklen_t length_ = 0;
};

}  // namespace router::runtime
