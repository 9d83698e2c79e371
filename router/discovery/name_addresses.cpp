#include "router/discovery/name_addresses.h"

#include <absl/strings/ascii.h>

#include <algorithm>

namespace router::discovery {

using runtime::Address;

bool is_localhost(std::string_view host) {
  if (host.ends_with('.')) host.remove_suffix(1);
  std::string name(host);
  absl::AsciiStrToLower(&name);
  return name == "localhost" || name.ends_with(".localhost");
}

std::vector<Address> known_addresses(const std::string& host, std::uint16_t port) {
  if (const std::optional<Address> address = Address::parse(host, port)) return {*address};
  if (is_localhost(host)) return {*Address::parse("127.0.0.1", port), *Address::parse("::1", port)};
  return {};
}

bool NameAddresses::looked_up(const std::vector<Address>& told) {
  std::vector<Address> addresses;
  addresses.reserve(told.size());
  for (const Address& each : told) addresses.push_back(each.unmapped());
  for (Known& each : known_) {
    const bool there = std::find(addresses.begin(), addresses.end(), each.address) != addresses.end();
    each.missed = there ? 0 : each.missed + 1;
  }
  std::erase_if(known_, [](const Known& each) { return each.missed >= kMissedMax; });
  bool too_many = false;
  for (const Address& address : addresses) {
    if (std::any_of(known_.begin(), known_.end(), [&](const Known& each) { return each.address == address; })) continue;
    const auto same_family = [&](const Known& each) { return each.address.family() == address.family(); };
    const bool full = static_cast<std::size_t>(std::count_if(known_.begin(), known_.end(), same_family)) >= kMax;
    too_many = too_many || full;
    if (!full) known_.push_back({address});
  }
  second_choice_ = second_choice_ && has(AF_INET) && has(AF_INET6);
  return too_many;
}

bool NameAddresses::probed(const Address& address, bool connected, bool other_connects) {
  const int family = family_in_use();
  bool all_unreachable = true;
  for (Known& each : known_) {
    if (each.address == address) each.unreachable = !connected;
    if (each.address.family() == family && !each.unreachable) all_unreachable = false;
    if (use_ == Use::kFirst && each.address.family() == family) break;  // the others are not probed
  }
  const bool has_other = has(AF_INET) && has(AF_INET6);
  if (!other_connects || !has_other || !(second_choice_ || all_unreachable)) return false;
  second_choice_ = !second_choice_;
  for (Known& each : known_) each.unreachable = false;
  return true;
}

std::vector<Address> NameAddresses::in_use() const { return of_family(family_in_use()); }

std::optional<Address> NameAddresses::other(std::size_t index) const {
  if (!has(AF_INET) || !has(AF_INET6)) return std::nullopt;
  const std::vector<Address> others = of_family(family_in_use() == AF_INET ? AF_INET6 : AF_INET);
  return others[index % others.size()];
}

bool NameAddresses::has(int family) const {
  return std::any_of(known_.begin(), known_.end(), [&](const Known& each) { return each.address.family() == family; });
}

int NameAddresses::family_in_use() const {
  const int preferred = has(AF_INET) ? AF_INET : AF_INET6;
  if (!second_choice_) return preferred;
  return preferred == AF_INET ? AF_INET6 : AF_INET;
}

std::vector<Address> NameAddresses::of_family(int family) const {
  std::vector<Address> addresses;
  for (const Known& each : known_) {
    if (each.address.family() != family) continue;
    addresses.push_back(each.address);
    if (use_ == Use::kFirst) break;
  }
  return addresses;
}

}  // namespace router::discovery
