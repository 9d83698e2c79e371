#include "router/fleet_link/strangers.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <string_view>
#include <utility>

namespace router::fleet_link {
namespace {

std::string source_of(const runtime::Address& peer) {
  const runtime::Address address = peer.unmapped();
  if (address.family() != AF_INET6) return address.ip();
  const auto& v6 = *reinterpret_cast<const sockaddr_in6*>(address.get());
  constexpr std::size_t kNetwork = 8;
  return {reinterpret_cast<const char*>(v6.sin6_addr.s6_addr), kNetwork};
}

}  // namespace

Strangers::Stay& Strangers::Stay::operator=(Stay&& other) noexcept {
  if (this == &other) return *this;
  leave();
  all_ = std::move(other.all_);
  place_ = other.place_;
  return *this;
}

void Strangers::Stay::leave() noexcept {
  if (all_ == nullptr) return;
  if (!place_->evicted) --all_->size_;
  all_->all_.erase(place_);
  all_ = nullptr;
}

Strangers::Stay Strangers::admit(const runtime::Address& from, std::shared_ptr<Life> life) {
  all_.push_back({source_of(from), std::move(life)});
  ++size_;
  Stay stay(shared_from_this(), std::prev(all_.end()));
  if (size_ > max_) make_room();
  return stay;
}

void Strangers::make_room() {
  std::map<std::string_view, std::size_t> counts;  // at most `max_` + 1, and only while there are too many
  std::size_t most = 0;
  for (const Stranger& each : all_) {
    if (!each.evicted) most = std::max(most, ++counts[each.source]);
  }
  const auto oldest = std::find_if(all_.begin(), all_.end(),
                                   [&](const Stranger& each) { return !each.evicted && counts[each.source] == most; });
  ++evicted_;
  --size_;
  oldest->evicted = true;
  oldest->life->cancel();
}

}  // namespace router::fleet_link
