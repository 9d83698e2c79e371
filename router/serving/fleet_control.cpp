#include "router/serving/fleet_control.h"

#include <algorithm>
#include <set>
#include <vector>

#include "router/runtime/contain.h"
#include "router/serving/fleet_waits.h"

namespace router::serving {
namespace {

using dispatch::NamespaceHome;

bool same(const std::vector<fleet::PodHolding>& a, const std::vector<fleet::PodHolding>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const fleet::PodHolding& one, const fleet::PodHolding& other) {
    return one.pod == other.pod && one.connections == other.connections;
  });
}

bool limited(const LiveDeployment& live) { return live.settings.max_concurrent_requests_per_instance > 0; }

FleetPods::Served pods_of(const LiveDeployments& live) {
  FleetPods::Served served;
  for (const auto& [key, deployment] : live.all()) {
    const auto limit = static_cast<std::uint32_t>(deployment->settings.max_concurrent_requests_per_instance);
    for (const auto& [name, replica] : deployment->replicas) {
      FleetPod& pod = served[replica.pod];
      pod.name_space = deployment->settings.namespace_name;
      pod.slots = replica.replica->pod();
      if (limit > 0) pod.limit = pod.limit > 0 ? std::min(pod.limit, limit) : limit;
    }
  }
  return served;
}

/// Whose requests go to a pod with a limit, whichever deployment has set it.
std::set<std::string> bound_to(const FleetPods::Served& served, const LiveDeployments& live) {
  std::set<std::string> bound;
  for (const auto& [key, deployment] : live.all()) {
    const auto& replicas = deployment->replicas;
    const bool is_bound = std::any_of(replicas.begin(), replicas.end(),
                                      [&served](const auto& each) { return served.at(each.second.pod).limit > 0; });
    if (is_bound) bound.insert(key);
  }
  return bound;
}

/// Their queues have a home also while there is no pod: what waits keeps its place, and a newcomer is told why it is refused.
std::set<std::string> limited_namespaces_of(const LiveDeployments& live) {
  std::set<std::string> names;
  for (const auto& [key, deployment] : live.all()) {
    if (limited(*deployment)) names.insert(deployment->settings.namespace_name);
  }
  return names;
}

}  // namespace

FleetControl::FleetControl(Parts parts) : parts_(std::move(parts)) {
  control().schedule(*this, kNever);  // reserves the timer's entry, so that later calls need no memory
}

void FleetControl::deployments_changed() noexcept {
  served_is_current_ = queues_are_current_ = false;
  control().schedule(*this, control().now());
}

void FleetControl::peers_changed() {
  peers_are_current_ = false;
  control().schedule(*this, control().now());
}

void FleetControl::take(FleetNews news) noexcept {
  news_ = std::move(news);
  peers_are_current_ = false;
  try {
    expired();
  } catch (const std::exception& error) {
    runtime::contain(error);  // the timer does it again
  }
}

void FleetControl::drain() {
  drains_ = true;
  control().schedule(*this, control().now());
}

bool FleetControl::may_end() {
  const auto all = [](const std::string&) { return true; };
  if (drain_is_told_ && !end_is_told_) {
    const FleetPods::Holdings now = pods_.holdings(all);
    if (!now.limited.empty() || !now.unlimited.empty()) return false;
    parts_.post(fleet::Emptied{});
    end_is_told_ = true;
  }
  return news_.may_leave;
}

void FleetControl::expired() {
  control().schedule(*this, control().now() + kLookBusy);  // first: what follows may throw
  if (drains_ && !drain_is_told_) {
    parts_.post(fleet::DrainRequested{});
    drain_is_told_ = true;
  }
  if (!served_is_current_) tell_served();
  cut_if_asked();
  obey();
  tell_holdings();
  pods_.forget_ended();
  control().schedule(*this, control().now() + next_look());
}

/// A slot moves to its new home when it is told that its exchange has ended. So the first looks follow each other closely, and
/// later ones after a sixteenth of the time that the rest has taken already. A look costs as much as there are pods to tell.
Duration FleetControl::next_look() const {
  if (told_.limited.empty()) return drains_ ? kLookBusy : kLook;
  const Duration shortest = kLookFirst + kLookEach * told_.limited.size();
  return std::clamp<Duration>((control().now() - told_at_) / 16, std::min<Duration>(shortest, kLookBusy), kLookBusy);
}

/// Before the pods that ask for it: nothing is begun there yet.
void FleetControl::tell_waits() {
  FleetWaits waits(parts_.running_grace);
  for (const auto& [key, deployment] : parts_.live.all()) {
    if (needs_home(key, *deployment)) waits.add(deployment->settings);
  }
  if (waits.waits() == waits_) return;
  parts_.post(waits.waits());
  waits_ = waits.waits();
}

void FleetControl::tell_served() {
  const FleetPods::Served served = pods_of(parts_.live);
  bound_ = bound_to(served, parts_.live);
  tell_waits();
  pods_.serve(served, limited_namespaces_of(parts_.live), served_ + 1);
  if (pods_.changed()) {
    parts_.post(fleet::Served{pods_.served()});
    ++served_;
    pods_.told();
  }
  parts_.live.set_limited([this](const std::string& pod) { return pods_.has_limit(pod); });
  served_is_current_ = true;
}

void FleetControl::obey() {
  if (!peers_are_current_ && parts_.peers.follow(news_.report)) view_is_current_ = false;
  peers_are_current_ = true;
  if (!view_is_current_) parts_.publish_peers();
  view_is_current_ = true;
  const bool covered = !news_.must_cut && parts_.membership->coverage().covers_now();
  const std::uint64_t version = news_.assignment != nullptr ? news_.assignment->version : 0;
  const Obeyed next{version, news_.served, served_, covered};
  if (next == obeyed_ && queues_are_current_) return;
  set_homes();
  allow_slots(covered);
  obeyed_ = next;
  queues_are_current_ = true;
}

bool FleetControl::needs_home(const DeploymentKey& key, const LiveDeployment& live) const {
  return limited(live) || bound_.contains(key);
}

/// A request looks first where the home is, and then enters the queue. So a queue serves before its home is said to be here,
/// and until its home is said to be elsewhere.
void FleetControl::set_homes() {
  std::map<std::string, std::int32_t> homes;
  if (news_.assignment != nullptr) {
    for (const fleet::NamespaceAssignment& each : news_.assignment->namespaces) {
      if (!each.here && each.home.empty()) continue;
      homes[each.name] = each.here ? NamespaceHome::kHere : parts_.peers.index_of(each.home);
    }
  }
  const auto serves = [this, &homes](const DeploymentKey& key, const LiveDeployment& live) {
    const auto home = homes.find(live.settings.namespace_name);
    return !needs_home(key, live) || (home != homes.end() && home->second == NamespaceHome::kHere);
  };
  for (const auto& [key, live] : parts_.live.all()) {
    if (serves(key, *live)) live->queue->set_home(true);
  }
  std::vector<dispatch::RequestQueue*> others;
  for (const auto& [key, live] : parts_.live.all()) {
    if (!serves(key, *live)) others.push_back(live->queue.get());
  }
  homes_.set(std::move(homes), bound_);
  for (dispatch::RequestQueue* each : others) each->set_home(false);
}

void FleetControl::allow_slots(bool covered) {
  if (!covered || news_.assignment == nullptr) return pods_.withhold_all();
  std::map<std::string, std::uint32_t> slots;
  for (const fleet::PodAssignment& each : news_.assignment->pods) slots[each.pod] = each.slots;
  const std::set<std::string> begun = pods_.allow(slots, news_.served);
  if (!begun.empty()) parts_.live.probe_at_once(begun);
}

void FleetControl::cut_if_asked() {
  if (news_.must_cut && !cut_) dispatch::Membership::cut_all(parts_.membership, parts_.shards);
  cut_ = news_.must_cut;
}

void FleetControl::tell_holdings() {
  FleetPods::Holdings now = pods_.holdings([this](const std::string& name_space) { return !homes_.here(name_space); });
  const bool of_limited = !same(now.limited, told_.limited) || obeyed_.version != told_version_;
  const bool of_others = !same(now.unlimited, told_.unlimited) && control().now() >= told_at_ + kTellUnlimited;
  if (!of_limited && !of_others) return;
  fleet::Applied applied{obeyed_.version, now.limited};
  applied.holdings.insert(applied.holdings.end(), now.unlimited.begin(), now.unlimited.end());
  parts_.post(std::move(applied));
  told_ = std::move(now);
  told_version_ = obeyed_.version;
  told_at_ = control().now();
}

}  // namespace router::serving
