#include "router/proxy/idle_connections.h"

namespace router::proxy {

IdleConnections::Entry* IdleConnections::longest_idle(List& list) {
  for (int look = 0; look < kLooksMax && !list.empty(); ++look) {
    Entry& longest = list.front();
    if (!longest.socket_.has_arrived()) return &longest;
    list.splice(list.end(), list, list.begin());  // its bytes have arrived: it will be served
  }
  return nullptr;
}

std::optional<ConnectionLimits::Permit> IdleConnections::make_room(TimePoint now) {
  Entry* found = longest_idle(silent_);
  if (found == nullptr && !begun_.empty() && now - begun_.front().begun_at_ > kBegunGrace) found = longest_idle(begun_);
  if (found == nullptr) found = longest_idle(kept_);
  if (found == nullptr) found = longest_idle(begun_);
  if (found == nullptr) return std::nullopt;
  found->leave();
  found->cut_ = true;
  found->socket_.wake_soon();
  return found->permit_.hand_over();
}

}  // namespace router::proxy
