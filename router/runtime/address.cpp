#include "router/runtime/address.h"

#include <arpa/inet.h>

#include <cstring>

#include "router/base/host_port.h"

namespace router::runtime {

std::optional<Address> Address::parse(std::string_view text, std::uint16_t port) {
  if (text.size() >= 2 && text.front() == '[' && text.back() == ']') text = text.substr(1, text.size() - 2);
  if (text.find('\0') != std::string_view::npos) return std::nullopt;  // inet_pton would stop there
  const std::string terminated(text);
  Address address;
  auto& v4 = reinterpret_cast<sockaddr_in&>(address.storage_);
  if (::inet_pton(AF_INET, terminated.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    address.length_ = sizeof v4;
    return address;
  }
  sockaddr_in6& v6 = address.storage_;
  if (::inet_pton(AF_INET6, terminated.c_str(), &v6.sin6_addr) == 1) {
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    address.length_ = sizeof v6;
    return address;
  }
  return std::nullopt;
}

Address Address::from(const sockaddr* address, socklen_t length) {
  Address copy;
  if (length > sizeof copy.storage_) length = sizeof copy.storage_;
  std::memcpy(&copy.storage_, address, length);
  copy.length_ = length;
  return copy;
}

std::uint16_t Address::port() const {
  if (family() == AF_INET) return ntohs(reinterpret_cast<const sockaddr_in&>(storage_).sin_port);
  if (family() == AF_INET6) return ntohs(storage_.sin6_port);
  return 0;
}

Address Address::unmapped() const {
  if (family() != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&storage_.sin6_addr)) return *this;
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_port = storage_.sin6_port;
  std::memcpy(&v4.sin_addr, storage_.sin6_addr.s6_addr + 12, sizeof v4.sin_addr);
  return from(reinterpret_cast<const sockaddr*>(&v4), sizeof v4);
}

std::string Address::ip() const {
  char text[INET6_ADDRSTRLEN] = "";
  if (family() == AF_INET) ::inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in&>(storage_).sin_addr, text, sizeof text);
  if (family() == AF_INET6) ::inet_ntop(AF_INET6, &storage_.sin6_addr, text, sizeof text);
  return text;
}

std::string Address::text() const { return join_host_port(ip(), port()); }

bool operator==(const Address& a, const Address& b) {
  return a.family() == b.family() && a.port() == b.port() && a.ip() == b.ip();
}

}  // namespace router::runtime
