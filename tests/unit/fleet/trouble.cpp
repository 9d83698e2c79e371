#include "tests/unit/fleet/trouble.h"

namespace router::fleet::test {

Trouble::Trouble(World& world) : world_(world) {
  for (int host = 0; host < world.hosts(); ++host) world_.at(world_.between(0, kSecond), [this, host] { world_.spawn(host); });
  world_.at(world_.between(kSecond, 16 * kSecond), [this] { next(); });
}

void Trouble::heal_all() {
  over_ = true;
  world_.note("all is healed");
  world_.heal();
  world_.set_api(true);
  world_.slow_api = false;
  keep_started();
  std::vector<std::string> all;
  for (int i = 0; i < world_.hosts(); ++i) all.push_back("host" + std::to_string(i));
  for (Process* const one : world_.alive())
    if (world_.options.fixed) one->handle(PeersChanged{all});
  world_.at(8 * kSecond, [this] { forget_the_lost(); });
}

/// If half of the serving members ended without proof, no majority takes them out: an operator has to.
void Trouble::forget_the_lost() {
  if (world_.options.fixed) return;
  std::vector<std::string> lost;
  const std::vector<std::string> serving = newest_serving();
  for (const std::string& id : serving)
    if (!world_.runs(id)) lost.push_back(id);
  if (2 * lost.size() < serving.size() || lost.size() == serving.size()) return;
  world_.note("an operator forgets what is lost");
  for (const std::string& id : lost)
    for (Process* const one : world_.alive()) one->handle(Forget{id});
}

Time Trouble::patience() const {
  const std::vector<std::string> serving = newest_serving();
  const std::vector<Process*> all = world_.alive();
  // Who drains may end before the others have met the API server again.
  const bool any = std::any_of(all.begin(), all.end(), [&serving](const Process* one) {
    const std::string id = one->machine.report(one->clock()).own_id;
    return one->closes_at == 0 && std::find(serving.begin(), serving.end(), id) != serving.end();
  });
  return any || serving.empty() ? 30 * kSecond : 100 * kSecond;
}

std::vector<std::string> Trouble::newest_serving() const {
  std::uint64_t newest = 0;
  std::vector<std::string> serving;
  const auto look_at = [&](std::uint64_t epoch, const std::vector<Member>& members) {
    if (epoch <= newest) return;
    newest = epoch;
    serving.clear();
    for (const Member& one : members)
      if (one.state == MemberState::kServing) serving.push_back(one.id);
  };
  const absl::StatusOr<Roster> written = decode_roster(world_.lease.roster);
  if (written.ok() && world_.lease.exists) look_at(written->epoch.number, written->members);
  for (const Process* const process : world_.alive()) {
    const Report report = process->machine.report(process->clock());
    std::vector<Member> members;
    for (const MemberReport& one : report.members) members.push_back(one.member);
    look_at(report.epoch.number, members);
  }
  return serving;
}

void Trouble::start(int host) {
  Process* const now = world_.process(host);
  if (now == nullptr || !now->alive) world_.spawn(host, world_.options.fixed || world_.chance(0.5));
}

/// As a Deployment does. What drains may end at any time, too.
void Trouble::keep_started() {
  for (int host = 0; host < world_.hosts(); ++host) start(host);
  world_.at(kSecond, [this] { keep_started(); });
}

void Trouble::next() {
  if (over_) return;
  one();
  const Time waits[] = {world_.between(50 * kMs, kSecond), world_.between(kSecond, 6 * kSecond),
                        world_.between(4 * kSecond, 14 * kSecond)};
  world_.at(waits[world_.pick(3)], [this] { next(); });
}

void Trouble::one() {
  if (world_.options.any_lists && world_.chance(0.3)) return any_lists();
  if (world_.options.fixed && world_.chance(0.1)) return lists();
  switch (world_.pick(world_.options.fixed ? 10 : 16)) {
    case 0: return cut();
    case 1: return split();
    case 2:
    case 3: world_.note("network healed"); return world_.heal();
    case 4: return crash(true);
    case 5: return crash(!world_.options.fixed && world_.chance(0.5));
    case 6: return world_.freeze(host(), world_.chance(0.3) ? 200 * kMs : world_.between(kSecond, 14 * kSecond));
    case 7: return drain();
    case 8: return slots();
    case 9: return services();
    case 10:
    case 11: return api();
    case 12:
      world_.note("API server heals");
      world_.slow_api = false;
      return world_.set_api(true);
    case 13: world_.slow_api = !world_.slow_api; return;
    case 14: return lease();
    default: world_.heal(); return world_.set_api(true);
  }
}

void Trouble::cut() {
  const int from = host();
  const int to = host();
  if (from == to) return;
  world_.note("cut " + std::to_string(from) + " -> " + std::to_string(to));
  world_.chance(0.4) ? world_.cut(from, to) : world_.cut_both(from, to);
}

void Trouble::split() {
  std::vector<bool> side;
  for (int i = 0; i < world_.hosts(); ++i) side.push_back(world_.chance(0.5));
  const bool api = world_.chance(0.5);
  for (int a = 0; a < world_.hosts(); ++a) {
    for (int b = 0; b < a; ++b)
      if (side[static_cast<std::size_t>(a)] != side[static_cast<std::size_t>(b)]) world_.cut_both(a, b);
    if (api) world_.set_api(a, side[static_cast<std::size_t>(a)]);
  }
  world_.note(std::string("split, ") + (api ? "one side without the API server" : "both with the API server"));
}

void Trouble::crash(bool proof) {
  const int which = host();
  world_.crash(which, proof);
  // Fixed peers: the machine has to come back, as nobody takes it out.
  const Time after = world_.chance(0.5) ? world_.between(100 * kMs, kSecond) : world_.between(kSecond, 12 * kSecond);
  world_.at(after, [this, which] { start(which); });
}

void Trouble::drain() {
  const int which = host();
  world_.drain(which);
  world_.at(world_.between(8 * kSecond, 20 * kSecond), [this, which] {
    if (world_.chance(0.5)) world_.crash(which, true);  // the grace period has ended
    start(which);
  });
}

void Trouble::slots() {
  world_.change_services([this] {
    world_.pods[static_cast<std::size_t>(world_.pick(static_cast<int>(world_.pods.size())))].slots =
        static_cast<std::uint32_t>(world_.between(1, 4));
  });
}

void Trouble::services() {
  world_.change_services([this] {
    const bool add = world_.pods.size() < 4 || world_.chance(0.5);
    const std::string name = "ns" + std::to_string(world_.options.fixed ? 0 : world_.pick(6));
    if (add) world_.pods.push_back({.id = name + "/" + std::to_string(++added_ + 100), .name_space = name, .slots = 2});
    if (!add) world_.pods.erase(world_.pods.begin() + world_.pick(static_cast<int>(world_.pods.size())));
  });
}

/// An operator takes a router out of the list, or puts it back: each process reads its list at a moment of its own.
void Trouble::lists() {
  const int out = world_.chance(0.5) ? host() : -1;
  std::vector<std::string> list;
  for (int i = 0; i < world_.hosts(); ++i)
    if (i != out) list.push_back("host" + std::to_string(i));
  world_.note("lists without host " + std::to_string(out));
  for (int i = 0; i < world_.hosts(); ++i) {
    if (i == out) continue;  // its file would be refused
    world_.at(world_.between(0, kSecond), [this, i, out, list] {
      Process* const one = world_.process(i);
      if (over_ || one == nullptr || !one->alive || one->frozen || !reaches(*one, out)) return;
      one->handle(PeersChanged{list});
    });
  }
}

/// Two lists of whatever hosts, and the one of all: each process reads one that it is in.
void Trouble::any_lists() {
  std::vector<std::vector<int>> choice(3);
  for (int i = 0; i < world_.hosts(); ++i) {
    choice[0].push_back(i);
    for (std::size_t one : {1U, 2U})
      if (world_.chance(0.6)) choice[one].push_back(i);
  }
  world_.note("lists change");
  for (int i = 0; i < world_.hosts(); ++i) {
    const std::vector<int> list = choice[static_cast<std::size_t>(world_.pick(3))];
    if (std::find(list.begin(), list.end(), i) == list.end()) continue;
    world_.at(world_.between(0, 2 * kSecond), [this, i, list] {
      Process* const one = world_.process(i);
      if (over_ || one == nullptr || !one->alive || one->frozen) return;
      for (int out = 0; out < world_.hosts(); ++out)
        if (std::find(list.begin(), list.end(), out) == list.end() && !reaches(*one, out)) return;
      std::string text = one->identity.id + " reads the list";
      for (const int each : list) text += " " + std::to_string(each);
      world_.note(text);
      one->handle(PeersChanged{World::addresses(list)});
    });
  }
}

/// To take out a router that runs and cannot be reached is a mistake of the operator (docs/decisions/0068, the exceptions).
bool Trouble::reaches(const Process& process, int out) const {
  for (const MemberReport& each : process.machine.report(process.clock()).members) {
    if (each.member.address != "host" + std::to_string(out)) continue;
    return each.proven_dead || (each.linked && each.silent < std::chrono::seconds(1));
  }
  return true;
}

void Trouble::api() {
  const bool all = world_.chance(0.3);
  const int which = host();
  world_.note(all ? "API server away" : "API server away for host " + std::to_string(which));
  if (all) return world_.set_api(false);
  world_.set_api(which, !world_.api_up(which));
}

/// Lost or restored old, while all can reach the API server: see docs/decisions/0068 for the other case.
void Trouble::lease() {
  for (int i = 0; i < world_.hosts(); ++i)
    if (!world_.api_up(i)) return;
  if (!world_.lease.exists || world_.rosters.empty()) return;
  const bool old = world_.chance(0.5);
  world_.note(old ? "the Lease is restored old" : "the Lease is deleted");
  world_.lease.version += 1000;
  if (old)
    world_.lease.roster = world_.rosters[static_cast<std::size_t>(world_.pick(static_cast<int>(world_.rosters.size())))];
  else
    world_.lease.exists = false;
  world_.lease_changed();
}

}  // namespace router::fleet::test
