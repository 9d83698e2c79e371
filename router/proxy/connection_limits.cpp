#include "router/proxy/connection_limits.h"

#include <netinet/in.h>

#include <cstring>

namespace router::proxy {

ClientKey client_key(const runtime::Address& address) {
  ClientKey key;
  if (address.family() == AF_INET) {
    key.bits = reinterpret_cast<const sockaddr_in*>(address.get())->sin_addr.s_addr;
  } else if (address.family() == AF_INET6) {
    const in6_addr& whole = reinterpret_cast<const sockaddr_in6*>(address.get())->sin6_addr;
    key.ipv6 = !IN6_IS_ADDR_V4MAPPED(&whole);
    if (key.ipv6) {
      std::memcpy(&key.bits, whole.s6_addr, 8);
    } else {
      std::memcpy(&key.bits, whole.s6_addr + 12, 4);
    }
  }
  return key;
}

std::optional<ConnectionLimits::Permit> ConnectionLimits::enter(std::size_t max) {
  if (open_.fetch_add(1, std::memory_order_relaxed) < max) return Permit(*this);
  open_.fetch_sub(1, std::memory_order_relaxed);
  return std::nullopt;
}

bool ConnectionLimits::has_room(const runtime::Address& client, std::size_t max) const {
  if (max == 0) return true;
  const std::lock_guard lock(mutex_);
  const auto counted = clients_.find(client_key(client));
  return counted == clients_.end() || counted->second < max;
}

std::size_t ConnectionLimits::clients() const {
  const std::lock_guard lock(mutex_);
  return clients_.size();
}

bool ConnectionLimits::enter_client(const ClientKey& client, std::size_t max) {
  const std::lock_guard lock(mutex_);
  std::size_t& open = clients_[client];
  if (open >= max) return false;
  ++open;
  return true;
}

void ConnectionLimits::leave_client(const ClientKey& client) {
  const std::lock_guard lock(mutex_);
  const auto counted = clients_.find(client);
  if (--counted->second == 0) clients_.erase(counted);
}

bool ConnectionLimits::Permit::enter(const runtime::Address& client, std::size_t max) {
  if (max == 0) return true;
  const ClientKey key = client_key(client);
  if (!limits_->enter_client(key, max)) return false;
  client_ = key;
  return true;
}

ConnectionLimits::Permit ConnectionLimits::Permit::hand_over() {
  if (client_) limits_->leave_client(*client_);
  client_.reset();
  return Permit(*std::exchange(limits_, nullptr));
}

ConnectionLimits::Permit::~Permit() {
  if (limits_ == nullptr) return;
  if (client_) limits_->leave_client(*client_);
  limits_->open_.fetch_sub(1, std::memory_order_relaxed);
}

}  // namespace router::proxy
