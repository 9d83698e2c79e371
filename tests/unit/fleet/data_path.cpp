#include "tests/unit/fleet/data_path.h"

#include <chrono>
#include <cmath>
#include <limits>

namespace router::fleet::test {

using dispatch::HeldSlot;
using dispatch::PodSlots;
using dispatch::QueuePosition;
using dispatch::Replica;
using dispatch::RequestQueue;

std::vector<Request> requests_of(const Traffic& traffic) {
  constexpr double kVariation = 2;
  const double variance = std::log(1 + kVariation * kVariation);
  std::mt19937_64 random(traffic.seed);
  std::lognormal_distribution<double> service(std::log(traffic.service_ms) - variance / 2, std::sqrt(variance));
  std::exponential_distribution<double> gap(traffic.load * static_cast<double>(traffic.slots) / traffic.service_ms);
  std::discrete_distribution<int> at(traffic.shares.begin(), traffic.shares.end());
  std::vector<Request> requests(traffic.requests);
  double now_ms = 0;
  for (Request& request : requests) {
    now_ms += gap(random);
    request = {
        .arrival = static_cast<Time>(now_ms * kMs), .service = static_cast<Time>(service(random) * kMs), .at = at(random)};
  }
  return requests;
}

std::vector<Time> ideal_waits(const std::vector<Request>& requests, std::size_t slots) {
  std::priority_queue<Time, std::vector<Time>, std::greater<>> free_at;
  for (std::size_t slot = 0; slot < slots; ++slot) free_at.push(0);
  std::vector<Time> waits;
  for (const Request& request : requests) {
    const Time begun = std::max(request.arrival, free_at.top());
    free_at.pop();
    free_at.push(begun + request.service);
    waits.push_back(begun - request.arrival);
  }
  return waits;
}

Time p99(std::vector<Time> waits) {
  waits.erase(waits.begin(), waits.begin() + static_cast<std::ptrdiff_t>(waits.size() / 10));
  const auto place = waits.begin() + static_cast<std::ptrdiff_t>(waits.size() * 99 / 100);
  std::nth_element(waits.begin(), place, waits.end());
  return *place;
}

// The clocks of two routers differ: nothing may compare them.
DataPath::Router::Router(int number) : index(number), tasks(std::make_unique<runtime::TaskGroup>(shard.shard(), 1'000'000)) {
  shard.clock().advance(std::chrono::hours(100 * number));
}

DataPath::~DataPath() {
  for (const std::unique_ptr<Router>& router : routers_) router->running.clear();
}

void DataPath::attach(World& world) {
  world_ = &world;
  for (int index = 0; index < world.hosts(); ++index) {
    Router& router = *routers_.emplace_back(std::make_unique<Router>(index));
    for (const Pod& pod : world.pods) {
      router.replicas.push_back(std::make_shared<Replica>(pod.id, pod.slots));
      RequestQueue::set_withheld(*router.replicas.back()->pod(), PodSlots::kAll);
    }
    router.queue = std::make_shared<RequestQueue>(dispatch::QueueOptions{.length_max = 1'000'000}, router.shard.clock());
    router.queue->set_replicas(router.replicas);
    for (const std::shared_ptr<Replica>& replica : router.replicas) router.queue->set_ready(replica, true);
    router.queue->set_home(false);
  }
}

// --- The fleet's say

int DataPath::index_of(const std::string& member) const {
  for (const std::unique_ptr<Router>& router : routers_)
    if (router->process != nullptr && router->process->machine.report(router->process->clock()).own_id == member)
      return router->index;
  return -1;
}

int DataPath::home() const {
  for (const std::unique_ptr<Router>& router : routers_)
    if (router->home == router->index) return router->index;
  return -1;
}

/// In the order of serving::FleetControl: the queue serves before its home is said to be here, and until it is elsewhere.
void DataPath::obey(Process& process, const Assignment& assignment) {
  Router& router = *routers_.at(static_cast<std::size_t>(process.host));
  router.process = &process;
  router.applied = assignment.version;
  int home = -1;
  for (const NamespaceAssignment& one : assignment.namespaces) home = one.here ? router.index : index_of(one.home);
  if (options_.splits) home = router.index;
  if (home == router.index) router.queue->set_home(true);
  router.home = home;
  set_slots(router, assignment);
  if (home != router.index) router.queue->set_home(false);
  turn(router);
  tell(router);
}

void DataPath::set_slots(Router& router, const Assignment& assignment) {
  std::map<std::string, std::size_t> usable;
  for (const PodAssignment& one : assignment.pods) usable[one.pod] = one.slots;
  for (std::size_t pod = 0; pod < router.replicas.size(); ++pod) {
    const std::size_t slots = world_->pods[pod].slots;
    std::size_t may = std::min(slots, usable[world_->pods[pod].id]);
    if (options_.splits) may = static_cast<int>(pod % routers_.size()) == router.index ? slots : 0;
    RequestQueue::set_withheld(*router.replicas[pod]->pod(), may == 0 ? PodSlots::kAll : slots - may);
  }
}

void DataPath::tell(Router& router) {
  Applied applied{.version = router.applied, .holdings = {}};
  for (const std::shared_ptr<Replica>& replica : router.replicas) {
    const std::size_t busy = replica->pod()->busy();
    if (busy == 0) continue;
    applied.holdings.push_back({.pod = replica->name(),
                                .name_space = name_space_of(*world_, replica->name()),
                                .connections = static_cast<std::uint32_t>(busy)});
  }
  router.process->handle(std::move(applied));
}

/// What the router's threads do now: messages of its queue arrive.
void DataPath::turn(Router& router) {
  const Duration now = std::chrono::nanoseconds(world_->now()) + std::chrono::hours(1 + 100 * router.index);
  router.shard.clock().advance(now - router.shard.now().time_since_epoch());
  router.shard.poll();
}

// --- A request

void DataPath::run(std::vector<Request>& requests) {
  requests_ = &requests;
  served_ = 0;
  const Time begin = world_->now();
  for (Request& request : requests) request.arrival += begin;
  std::function<void(std::size_t)> arrive = [&](std::size_t number) {
    if (requests[number].at == left_) requests[number].at = (left_ + 1) % static_cast<int>(routers_.size());
    if (number + 1 < requests.size())
      world_->at(requests[number + 1].arrival - world_->now(), [&arrive, number] { arrive(number + 1); });
    offer(number);
  };
  world_->at(requests.front().arrival - begin, [&arrive] { arrive(0); });
  while (served_ < requests.size() && violation_.empty() && world_->violation().empty()) {
    world_->run_for(kSecond);
    if (world_->now() > requests.back().arrival + 1000 * kSecond) fail("requests are not served");
  }
}

/// The router that has the client looks where the home is (proxy/send_on). `named`: what the last refusal said.
void DataPath::offer(std::size_t number, int named, int tries) {
  Router& at = *routers_[static_cast<std::size_t>((*requests_)[number].at)];
  const Duration age = std::chrono::nanoseconds(world_->now() - (*requests_)[number].arrival);
  const int home = named >= 0 ? named : at.home;
  if (home == at.index) {
    turn(at);
    at.tasks->try_spawn(wait(at, number, age, tries));
  } else if (home < 0) {
    world_->at(options_.look, [this, number, tries] { offer(number, -1, tries); });
  } else {
    world_->at(hop(), [this, number, home, age, tries] { reach(number, home, age, tries); });
  }
}

void DataPath::reach(std::size_t number, int home, Duration age, int tries) {
  Router& at = *routers_[static_cast<std::size_t>(home)];
  if (at.home != at.index) return refuse(number, home, tries);
  turn(at);
  at.tasks->try_spawn(wait(at, number, options_.tells_age ? age : Duration{}, tries));
}

/// The home is another: 421, which names it; a router's own request looks again.
void DataPath::refuse(std::size_t number, int home, int tries) {
  const int client = (*requests_)[number].at;
  if (home == client) {
    const bool still = routers_[static_cast<std::size_t>(home)]->home == home;
    world_->at(still ? options_.look : 0, [this, number, tries] { offer(number, -1, tries); });
    return;
  }
  const int named = routers_[static_cast<std::size_t>(home)]->home;
  const Time pause = tries + 1 < 3 ? 0 : options_.pause;
  world_->at(hop() + pause, [this, number, named, tries] { offer(number, named, tries + 1); });
}

/// An exchange of the home until it has its slot (proxy/acquire).
Task<void> DataPath::wait(Router& at, std::size_t number, Duration age, int tries) {
  runtime::Wakeup wakeup(at.shard.shard());
  const QueuePosition position{.ticket = 0, .avoided = nullptr, .arrival = at.shard.now() - age};
  Result<RequestQueue::Entry> entry = at.queue->enter(wakeup, kNever, position);
  if (!entry) {
    refuse(number, at.index, tries);
    co_return;
  }
  Result<HeldSlot> slot = std::move(entry->held_slot);
  while (slot && !*slot) {
    co_await wakeup.wait(kNever);
    slot = entry->waiting.poll();
  }
  slot ? begin(at, number, std::move(*slot)) : refuse(number, at.index, tries);
}

void DataPath::begin(Router& at, std::size_t number, HeldSlot slot) {
  Request& request = (*requests_)[number];
  const std::string& pod = slot.replica().name();
  if (request.begun >= 0) fail("a request has begun twice");
  if (!options_.splits && at.process->clock() >= at.process->machine.covered_until()) fail("begun without coverage");
  request.begun = world_->now();
  std::size_t slots = 0;
  for (const Pod& one : world_->pods) slots = one.id == pod ? one.slots : slots;
  if (++at_pods_[pod] > slots) fail(pod + " has more exchanges than slots");
  at.running.emplace(number, std::move(slot));
  world_->at(request.service, [this, &at, number] { end(at, number); });
}

void DataPath::end(Router& at, std::size_t number) {
  HeldSlot slot = std::move(at.running.at(number));
  at.running.erase(number);
  --at_pods_[slot.replica().name()];
  ++served_;
  turn(at);
  slot.give_back();
  turn(at);
  if (at.home != at.index) tell(at);
}

void DataPath::fail(std::string what) {
  if (violation_.empty()) violation_ = std::to_string(world_->now() / kMs) + " ms: " + std::move(what);
}

}  // namespace router::fleet::test
