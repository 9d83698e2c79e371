#include "router/fleet/peer.h"

#include <algorithm>

namespace router::fleet {

void Peer::link_opened(LinkId link, const Hello& hello) {
  links_.push_back(link);
  hello_ = hello;
}

void Peer::link_ended(LinkId link) { links_.erase(std::remove(links_.begin(), links_.end(), link), links_.end()); }

void Peer::sent(std::uint64_t number, std::uint64_t serial, BootTime at) {
  sent_.at(next_sent_) = {.number = number, .serial = serial, .at = at};
  next_sent_ = (next_sent_ + 1) % sent_.size();
}

const Peer::Sent* Peer::find(std::uint64_t number) const {
  const auto found = std::find_if(sent_.begin(), sent_.end(), [number](const Sent& sent) { return sent.number == number; });
  return number == 0 || found == sent_.end() ? nullptr : &*found;
}

bool Peer::accept(const Beat& beat) {
  if (beat.number <= newest_) return false;
  newest_ = beat.number;
  epoch_number = beat.epoch.number;
  if (const Sent* const echoed = find(beat.echo)) heard_at_ = std::max(heard_at_, echoed->at);
  return true;
}

void Peer::acknowledge(std::uint64_t echo, std::uint64_t serial, bool any_epoch, std::optional<BootTime> instead) {
  const Sent* const echoed = find(echo);
  if (echoed == nullptr || (echoed->serial != serial && !any_epoch)) return;
  if (acknowledged_serial_ != serial) acknowledged_at_ = kLongAgo;
  acknowledged_serial_ = serial;
  acknowledged_at_ = std::max(acknowledged_at_, instead.value_or(echoed->at));
}

}  // namespace router::fleet
