#include "tests/unit/fleet/world.h"

namespace router::fleet::test {

Process::Process(World& world, int on_host, double rate, Identity own, Options options)
    : host(on_host),
      machine(own, std::move(options),
              BootTime(BootDuration(on_host * 1000 * kSecond + static_cast<Time>(static_cast<double>(world.now()) * rate)))),
      identity(std::move(own)),
      world_(world),
      rate_(rate),
      offset_(on_host * 1000 * kSecond) {}

void Process::start() {
  world_.serve(*this);
  tick();
  dial();
  work();
}

void Process::handle(Event event) {
  if (!alive) return;
  if (frozen) {
    deferred_.push_back([this, event = std::move(event)] { handle(event); });
    return;
  }
  machine.handle(clock(), std::move(event));
  act();
}

void Process::thaw() {
  frozen = false;
  while (alive && !frozen && !deferred_.empty()) {
    const std::function<void()> next = std::move(deferred_.front());
    deferred_.pop_front();
    next();
  }
}

void Process::tick() {
  if (!alive) return;
  handle(Tick{});
  world_.at(world_.between(15 * kMs, 45 * kMs) + (world_.chance(0.002) ? 200 * kMs : 0), [this] { tick(); });
}

void Process::act() {
  for (const Action& action : machine.take_actions()) act(action);
  const Assignment& assignment = machine.assignment();
  if (assignment.version != seen_version_) {
    seen_version_ = assignment.version;
    world_.at(world_.between(kMs / 10, 5 * kMs), [this, assignment] { apply(assignment); });
  }
  if (machine.must_cut() && !cut_) abort_all();
  cut_ = machine.must_cut();
  if (machine.may_leave() && alive) {
    world_.note(identity.id + " leaves");
    alive = false;
    for (auto& [link, one] : links)
      world_.at(world_.between(kMs, 20 * kMs), [peer = one.peer, other = one.other] { peer->end_link(other); });
  }
}

void Process::act(const Action& action) {
  if (const auto* frame = std::get_if<SendFrame>(&action)) send(frame->link, frame->text);
  if (const auto* line = std::get_if<LogLine>(&action)) world_.note(identity.id + ": " + line->text);
  if (const auto* wanted = std::get_if<DialPeers>(&action)) wanted_ = wanted->addresses;
  if (const auto* put = std::get_if<LeasePut>(&action)) lease_put(*put);
  if (const auto* stamp = std::get_if<LeaseStamp>(&action)) lease_stamp(stamp->version);
  if (std::get_if<LeaseGet>(&action) != nullptr) lease_get();
  if (const auto* end = std::get_if<EndLink>(&action)) {
    const auto found = links.find(end->link);
    if (found == links.end()) return;
    Process* const peer = found->second.peer;
    const LinkId other = found->second.other;
    world_.at(world_.between(kMs, 20 * kMs), [peer, other] { peer->end_link(other); });
    world_.at(0, [this, link = end->link] { end_link(link); });
  }
}

// --- Links

bool Process::linked_to(const Process& peer) const {
  return std::any_of(links.begin(), links.end(), [&](const auto& one) { return one.second.peer == &peer; });
}

void Process::open(Process& peer) {
  static LinkId last = 0;
  const LinkId own = ++last;
  const LinkId other = ++last;
  links[own] = {.peer = &peer, .other = other, .frames = {}};
  peer.links[other] = {.peer = this, .other = own, .frames = {}};
  handle(LinkOpened{own, peer.machine.hello()});
  peer.handle(LinkOpened{other, machine.hello()});
}

void Process::dial() {
  if (!alive) return;
  for (const std::string& address : wanted_) {
    Process* const peer = world_.at_address(address);
    if (frozen || peer == nullptr || peer == this || peer->frozen || linked_to(*peer)) continue;
    if (world_.path(host, peer->host) && world_.path(peer->host, host)) open(*peer);
  }
  world_.at(world_.between(30 * kMs, 150 * kMs), [this] { dial(); });
}

void Process::end_link(LinkId link) {
  if (links.erase(link) > 0) handle(LinkEnded{link});
}

void Process::send(LinkId link, const std::string& text) {
  ++world_.frames;
  world_.longest_frame = std::max(world_.longest_frame, text.size());
  const auto found = links.find(link);
  if (found == links.end() || world_.chance(world_.options.loss)) return;
  const Time due = world_.now() + (world_.chance(0.5) ? world_.between(kMs / 5, 2 * kMs) : world_.between(kMs, 30 * kMs));
  found->second.frames.emplace_back(due, text);
  if (world_.chance(world_.options.duplicates))
    world_.at(world_.between(0, 2 * kSecond), [this, link, text] {
      const auto again = links.find(link);
      if (again == links.end()) return;
      again->second.frames.emplace_back(world_.now(), text);
      pump(link);
    });
  pump(link);
}

void Process::pump(LinkId link) {
  const auto found = links.find(link);
  if (found == links.end() || found->second.pumping || found->second.frames.empty()) return;
  Link& one = found->second;
  one.pumping = true;
  world_.at(std::max<Time>(0, one.frames.front().first - world_.now()), [this, link] {
    const auto again = links.find(link);
    if (again == links.end()) return;
    Link& open = again->second;
    open.pumping = false;
    Process& peer = *open.peer;
    if (!world_.path(host, peer.host) || (!peer.alive && peer.lost_node)) {
      // TCP sends again until it gives up.
      if (open.stalled_since == 0) open.stalled_since = world_.now();
      if (world_.now() - open.stalled_since > 4 * kSecond && world_.chance(0.05)) return end_link(link);
      open.frames.front().first = world_.now() + 50 * kMs;
      return pump(link);
    }
    open.stalled_since = 0;
    const std::string text = std::move(open.frames.front().second);
    open.frames.pop_front();
    if (!peer.alive) return reached_dead(link, peer);
    const LinkId other = open.other;
    pump(link);
    peer.handle(FrameReceived{other, text});
  });
}

/// The kernel of a dead process's host answers: the link ends, and dialling it is refused unless another process listens.
void Process::reached_dead(LinkId link, Process& peer) {
  end_link(link);
  world_.at(world_.between(20 * kMs, 60 * kMs), [this, &peer] {
    const bool way = world_.path(host, peer.host) && world_.path(peer.host, host);
    if (way && !peer.lost_node && world_.at_address(peer.identity.address) == nullptr) handle(PeerRefused{peer.identity.id});
  });
}

// --- The Lease

void Process::lease_get() {
  const BootTime sent = clock();
  auto seen = std::make_shared<LeaseSeen>();
  seen->sent = sent;
  world_.call_api(
      *this, false,
      [this, seen] {
        seen->version = std::to_string(world_.lease.version);
        if (world_.lease.exists) {
          seen->object = std::to_string(world_.lease.object);
          seen->roster = world_.lease.roster;
        }
        return LeaseOutcome::kWritten;
      },
      [this, seen](LeaseOutcome outcome) {
        if (outcome == LeaseOutcome::kWritten) return handle(*seen);
        handle(LeaseAnswered{LeaseOutcome::kFailed, ""});
      });
}

void Process::lease_put(const LeasePut& put) {
  auto version = std::make_shared<std::string>();
  world_.call_api(
      *this, true,
      [this, put, version] {
        World::Lease& lease = world_.lease;
        const bool fits = put.version.empty() ? !lease.exists : lease.exists && put.version == std::to_string(lease.version);
        if (!fits) {
          ++world_.conflicts;
          return LeaseOutcome::kConflict;
        }
        const std::uint64_t object = lease.object + (lease.exists ? 0 : 1);
        lease = {.exists = true, .version = lease.version + 1, .object = object, .roster = put.roster};
        world_.rosters.push_back(put.roster);
        world_.note(identity.id + " writes " + put.roster.substr(0, 60));
        *version = std::to_string(lease.version);
        world_.lease_changed();
        return LeaseOutcome::kWritten;
      },
      [this, version](LeaseOutcome outcome) {
        handle(LeaseAnswered{outcome, *version});
      });
}

void Process::lease_stamp(const std::string& version) {
  auto next = std::make_shared<std::string>();
  world_.call_api(
      *this, true,
      [this, version, next] {
        World::Lease& lease = world_.lease;
        if (!lease.exists || version != std::to_string(lease.version)) return LeaseOutcome::kConflict;
        *next = std::to_string(++lease.version);
        world_.lease_changed();
        return LeaseOutcome::kWritten;
      },
      [this, next](LeaseOutcome outcome) {
        handle(LeaseAnswered{outcome, *next});
      });
}

// --- The data path

void Process::apply(const Assignment& assignment) {
  if (!alive) return;
  if (frozen) {
    deferred_.push_back([this, assignment] { apply(assignment); });
    return;
  }
  if (assignment.version > applied_.version) applied_ = assignment;
  world_.options.obey ? world_.options.obey(*this, applied_) : tell_holdings();
}

void Process::tell_holdings() {
  std::map<std::string, std::uint32_t> counts;
  for (const auto& [number, pod] : open_) ++counts[pod];
  Applied told{.version = applied_.version, .holdings = {}};
  for (const auto& [pod, count] : counts)
    told.holdings.push_back({.pod = pod, .name_space = name_space_of(world_, pod), .connections = count});
  handle(std::move(told));
}

/// Begins what it may, at every pod.
void Process::work() {
  if (!alive || world_.options.obey) return;
  const bool closed = closes_at > 0 && world_.now() >= closes_at;
  if (closed && open_.empty()) handle(Emptied{});
  if (!frozen && !closed) {
    for (const PodAssignment& one : applied_.pods) {
      std::uint32_t allowed = 0;
      for (const ServedNamespace& name_space : served)
        for (const ServedPod& pod : name_space.pods)
          if (pod.id == one.pod) allowed = pod.slots;
      const auto own = std::count_if(open_.begin(), open_.end(), [&](const auto& open) { return open.second == one.pod; });
      // As the shards do: the newest coverage, a fresh reading of the clock, just before it begins.
      if (static_cast<std::uint32_t>(own) < std::min(one.slots, allowed) && clock() < machine.covered_until() &&
          world_.chance(0.7))
        world_.begin(*this, one.pod, allowed);
    }
  }
  world_.at(world_.between(20 * kMs, 120 * kMs), [this] { work(); });
}

/// The pod notices an abort within A, and until then the process counts the connection.
void Process::abort_all() {
  for (const auto& [number, pod] : open_) {
    if (!aborted_.insert(number).second) continue;
    const Time wait = world_.between(0, 230 * kMs);
    world_.at(wait, [this, number = number] { world_.end(number); });
    world_.at(240 * kMs, [this, number = number] {
      open_.erase(number);
      if (alive) tell_holdings();
    });
  }
}

bool Process::uses_up() const { return alive && clock() >= machine.covered_until() + world_.options.timing.running_grace; }

}  // namespace router::fleet::test
