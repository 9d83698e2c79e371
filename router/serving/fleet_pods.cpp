#include "router/serving/fleet_pods.h"

#include <algorithm>
#include <utility>

#include "router/dispatch/request_queue.h"

namespace router::serving {

using dispatch::PodSlots;

void FleetPods::serve(const Served& served, std::set<std::string> limited, std::uint64_t number) {
  if (limited != limited_) changed_ = true;
  limited_ = std::move(limited);
  for (auto& [id, known] : pods_) {
    if (!known.served || served.contains(id)) continue;
    known.served = false;
    changed_ = true;
    withhold(known, PodSlots::kAll);
  }
  for (const auto& [id, pod] : served) {
    Known& known = pods_[id];
    if (known.served && known.pod == pod) continue;
    changed_ = true;
    if (known.pod.slots != pod.slots) known.withheld = PodSlots::kAll;
    known.served = true;
    known.since = number;
    known.pod = pod;
    withhold(known, PodSlots::kAll);
  }
}

std::vector<fleet::ServedNamespace> FleetPods::served() const {
  std::map<std::string, fleet::ServedNamespace> namespaces;
  for (const std::string& name : limited_) namespaces[name].name = name;
  for (const auto& [id, known] : pods_) {
    const auto into = namespaces.find(known.pod.name_space);
    if (known.served && into != namespaces.end()) into->second.pods.push_back({.id = id, .slots = known.pod.limit});
  }
  std::vector<fleet::ServedNamespace> all;
  all.reserve(namespaces.size());
  for (auto& [name, each] : namespaces) all.push_back(std::move(each));
  return all;
}

bool FleetPods::has_limit(const std::string& pod) const {
  const auto found = pods_.find(pod);
  return found != pods_.end() && found->second.pod.limit > 0;
}

std::set<std::string> FleetPods::allow(const std::map<std::string, std::uint32_t>& slots, std::uint64_t number) {
  std::set<std::string> begun;
  for (auto& [id, known] : pods_) {
    const auto allowed = slots.find(id);
    const bool may = known.served && known.pod.limit > 0 && known.since <= number && allowed != slots.end();
    const std::uint32_t usable = may ? std::min(known.pod.limit, allowed->second) : 0;
    if (withhold(known, usable > 0 ? known.pod.limit - usable : PodSlots::kAll)) begun.insert(id);
  }
  return begun;
}

void FleetPods::withhold_all() {
  for (auto& [id, known] : pods_) withhold(known, PodSlots::kAll);
}

bool FleetPods::withhold(Known& known, std::size_t slots) {
  const std::size_t before = std::exchange(known.withheld, slots);
  if (known.pod.slots == nullptr || before == slots) return false;
  dispatch::RequestQueue::set_withheld(*known.pod.slots, slots);
  return before == PodSlots::kAll;
}

FleetPods::Holdings FleetPods::holdings(const std::function<bool(const std::string& name_space)>& counts) const {
  Holdings all;
  for (const auto& [id, known] : pods_) {
    if (known.pod.slots == nullptr || !counts(known.pod.name_space)) continue;
    const bool limited = known.pod.limit > 0 || !known.served;
    const std::size_t busy = limited ? known.pod.slots->busy() : known.pod.slots->in_use();
    if (busy == 0) continue;
    (limited ? all.limited : all.unlimited).push_back({id, known.pod.name_space, static_cast<std::uint32_t>(busy)});
  }
  return all;
}

void FleetPods::forget_ended() {
  std::erase_if(pods_, [](const auto& each) {
    const Known& known = each.second;
    return !known.served && (known.pod.slots == nullptr || known.pod.slots->busy() == 0);
  });
}

}  // namespace router::serving
