#include "tests/unit/fleet/world.h"

namespace router::fleet::test {

World::World(WorldOptions chosen) : options(std::move(chosen)), random_(options.seed) {
  const auto count = static_cast<std::size_t>(options.hosts);
  current_.resize(count);
  api_up_.assign(count, true);
  pod_uids_.resize(count);
  for (std::size_t i = 0; i < count; ++i)
    rates_.push_back(1 + options.drift * (static_cast<double>(between(-1000, 1000)) / 1000));
  for (int n = 0; n < options.namespaces; ++n)
    for (int p = 0; p < options.pods_each; ++p) {
      const std::string name = "ns" + std::to_string(n);
      pods.push_back(
          {.id = name + "/" + std::to_string(p), .name_space = name, .slots = static_cast<std::uint32_t>(1 + 2 * p)});
    }
}

World::~World() = default;

void World::at(Time delay, std::function<void()> what) {
  queue_.push({now_ + delay, ++order_, std::make_shared<std::function<void()>>(std::move(what))});
}

void World::run_for(Time duration) {
  const Time until = now_ + duration;
  while (!queue_.empty() && queue_.top().time <= until && violation_.empty()) {
    const Due due = queue_.top();
    queue_.pop();
    now_ = due.time;
    ++steps_;
    (*due.what)();
  }
  if (violation_.empty()) now_ = until;
}

void World::note(std::string line) {
  history_.push_back(std::to_string(now_ / kMs) + " ms  " + std::move(line));
  if (history_.size() > 300) history_.pop_front();
}

std::string World::history() const {
  std::string text = "seed " + std::to_string(options.seed) + "\n";
  for (const std::string& line : history_) text += line + "\n";
  return text;
}

// --- Processes

std::vector<std::string> World::addresses(const std::vector<int>& hosts) {
  std::vector<std::string> list;
  for (const int host : hosts) list.push_back("host" + std::to_string(host));
  return list;
}

Process* World::spawn(int host, bool same_pod, Protocols protocols) {
  const auto index = static_cast<std::size_t>(host);
  if (current_[index] != nullptr && current_[index]->alive) return nullptr;
  std::string& uid = pod_uids_[index];
  const std::string number = std::to_string(processes_.size());
  const std::string fixed_address = "host" + std::to_string(host);
  if (!same_pod || uid.empty()) uid = "pod" + number;
  Identity identity{.id = "r" + number + "@" + std::to_string(host),
                    .pod_uid = options.fixed ? fixed_address : uid,
                    .address = options.fixed ? fixed_address : uid,
                    .started = now_ + 1};
  Options own{.timing = options.timing, .rules = options.rules, .protocols = protocols, .fixed_peers = {}};
  for (int i = 0; options.fixed && i < hosts(); ++i) own.fixed_peers.push_back("host" + std::to_string(i));
  if (const auto list = lists.find(host); list != lists.end()) own.fixed_peers = list->second;
  note("start of " + identity.id + " in " + uid);
  processes_.push_back(std::make_unique<Process>(*this, host, rates_[index], identity, own));
  current_[index] = processes_.back().get();
  processes_.back()->protocols = protocols;
  processes_.back()->start();
  return processes_.back().get();
}

Process* World::at_address(const std::string& address) const {
  for (Process* const one : current_)
    if (one != nullptr && one->alive && one->identity.address == address) return one;
  return nullptr;
}

std::vector<Process*> World::alive() const {
  std::vector<Process*> found;
  for (Process* const one : current_)
    if (one != nullptr && one->alive) found.push_back(one);
  return found;
}

bool World::runs(const std::string& id) const {
  const std::vector<Process*> all = alive();
  return std::any_of(all.begin(), all.end(),
                     [&](const Process* one) { return one->machine.report(one->clock()).own_id == id; });
}

void World::crash(int host, bool proof) {
  Process* const dead = process(host);
  if (dead == nullptr || !dead->alive) return;
  note("crash of " + dead->identity.id + (proof ? "" : " without a trace"));
  dead->alive = false;
  dead->lost_node = !proof;
  for (const auto& [number, exchange] : running_)
    if (exchange.owner == dead) at(between(0, 230 * kMs), [this, number = number] { end(number); });
  if (!proof) return;
  for (auto& [link, one] : dead->links) {
    Process* const peer = one.peer;
    const LinkId other = one.other;
    at(between(kMs, 20 * kMs), [this, peer, other, dead] {
      if (peer->alive && peer->links.count(other) > 0 && path(dead->host, peer->host)) peer->reached_dead(other, *dead);
    });
  }
}

void World::freeze(int host, Time length) {
  Process* const one = process(host);
  if (one == nullptr || !one->alive || one->frozen) return;
  note("freeze of " + one->identity.id + " for " + std::to_string(length / kMs) + " ms");
  one->frozen = true;
  at(length, [this, one] {
    note("thaw of " + one->identity.id);
    if (one->uses_up()) excuse(*one);
    one->thaw();
  });
}

void World::drain(int host) {
  if (process(host) == nullptr) return;
  note("drain of " + process(host)->identity.id);
  if (process(host)->closes_at == 0) process(host)->closes_at = now_ + kDrainDelay;
  process(host)->handle(DrainRequested{});
}

void World::isolate(int host) {
  for (int other = 0; other < hosts(); ++other)
    if (other != host) cut_both(host, other);
}

std::string name_space_of(const World& world, const std::string& pod) {
  for (const Pod& one : world.pods)
    if (one.id == pod) return one.name_space;
  return pod.substr(0, pod.find('/'));
}

// --- The API server

void World::call_api(Process& process, bool writes, std::function<LeaseOutcome()> serve,
                     std::function<void(LeaseOutcome)> answer) {
  const int host = process.host;
  const Time slow = slow_api ? 1200 * kMs : 40 * kMs;
  const Time to = between(kMs, slow);
  const Time from = late_answers == host ? 1800 * kMs : between(kMs, slow);
  auto lost = [this, answer, writes](Time after) {
    at(after, [answer, writes] { answer(writes ? LeaseOutcome::kUnknown : LeaseOutcome::kFailed); });
  };
  at(to, [this, host, serve = std::move(serve), answer, from, lost] {
    if (!api_up(host)) return lost(2 * kSecond);
    const LeaseOutcome outcome = serve();
    if (chance(0.01)) return lost(2 * kSecond);
    at(from, [this, host, outcome, answer, lost] {
      if (!api_up(host)) return lost(2 * kSecond);
      answer(outcome);
    });
  });
}

void World::lease_changed() {
  for (Process* const one : alive()) {
    if (!chance(0.9)) continue;
    LeaseSeen seen{.sent = kLongAgo, .version = std::to_string(lease.version), .object = {}, .roster = std::nullopt};
    if (lease.exists) seen.roster = lease.roster;
    const Time delay = between(kMs, 100 * kMs);
    at(late_events == one->host ? 2 * kSecond : delay, [this, one, seen] {
      if (api_up(one->host)) one->handle(seen);
    });
  }
}

// --- Pods

std::size_t World::running_at(const std::string& pod) const {
  return static_cast<std::size_t>(std::count_if(running_.begin(), running_.end(), [&](const auto& one) {
    const Exchange& exchange = one.second;
    return exchange.pod == pod && !exchange.excused && !(exchange.owner->frozen && exchange.owner->uses_up());
  }));
}

void World::excuse(const Process& owner) {
  for (auto& [number, exchange] : running_)
    if (exchange.owner == &owner) exchange.excused = true;
}

std::size_t World::running_of(const Process& process) const {
  return static_cast<std::size_t>(
      std::count_if(running_.begin(), running_.end(), [&](const auto& one) { return one.second.owner == &process; }));
}

void World::begin(Process& owner, const std::string& pod, std::uint32_t allowed) {
  const std::uint64_t number = ++started_;
  ++owner.begun;
  running_[number] = {.number = number, .pod = pod, .owner = &owner};
  owner.open_[number] = pod;
  const std::size_t running = running_at(pod);
  if (running > allowed && violation_.empty()) {
    violation_ = "at " + std::to_string(now_ / kMs) + " ms " + owner.identity.id + " begins exchange " +
                 std::to_string(running) + " at " + pod + " with " + std::to_string(allowed) + " slots; others:";
    for (const auto& [other, exchange] : running_)
      if (exchange.pod == pod && other != number) violation_ += " " + exchange.owner->identity.id;
  }
  const Time length = options.long_exchanges ? 10000 * kSecond
                      : chance(0.6)          ? between(10 * kMs, 500 * kMs)
                                             : between(100 * kMs, options.exchange_max);
  at(length, [this, number, &owner] {
    if (!owner.alive || owner.aborted_.count(number) > 0) return;
    end(number);
    owner.open_.erase(number);
    at(between(kMs / 10, 5 * kMs), [&owner] {
      if (owner.alive && !owner.frozen) owner.tell_holdings();
    });
  });
}

void World::serve(Process& process) {
  std::map<std::string, std::vector<ServedPod>> by_name;
  for (const Pod& pod : pods) by_name[pod.name_space].push_back({.id = pod.id, .slots = pod.slots});
  Served served;
  for (auto& [name, list] : by_name) served.namespaces.push_back({.name = name, .pods = std::move(list)});
  process.served = served.namespaces;
  process.handle(std::move(served));
}

void World::change_services(std::function<void()> change) {
  change();
  for (Process* const one : alive())
    at(between(kMs, kSecond), [this, one] {
      if (one->alive) serve(*one);
    });
}

// --- Judgement

bool World::all_served() const {
  std::set<std::string> served;
  for (const Process* const one : alive()) {
    if (one->frozen || one->clock() >= one->machine.covered_until()) continue;
    if (one->machine.report(one->clock()).taking > 0) continue;
    for (const NamespaceAssignment& name_space : one->applied().namespaces)
      if (name_space.here) served.insert(name_space.name);
  }
  return std::all_of(pods.begin(), pods.end(), [&](const Pod& pod) { return served.count(pod.name_space) > 0; });
}

std::string World::state() const {
  std::string text;
  for (const Process* const one : alive()) {
    const Report report = one->machine.report(one->clock());
    text += report.own_id + " " + report.state + " epoch " + std::to_string(report.epoch.number) + " homes " +
            std::to_string(report.homes) + " taking " + std::to_string(report.taking) + " ready " +
            std::to_string(static_cast<int>(report.ready)) + " (" + report.reason + ") members";
    for (const MemberReport& member : report.members)
      text += " " + member.member.id + ":" + std::string(name_of(member.member.state)) + (member.proven_dead ? "+" : "");
    text += "\n";
  }
  return text + "Lease " + lease.roster.substr(0, 400) + "\n";
}

bool World::wait_served(Time limit) {
  const Time until = now_ + limit;
  while (now_ < until && violation_.empty()) {
    run_for(100 * kMs);
    if (all_served()) return true;
  }
  return false;
}

}  // namespace router::fleet::test
