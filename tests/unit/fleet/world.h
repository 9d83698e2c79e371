#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "router/fleet/machine.h"

// A simulated world for Machines: processes on hosts, their links, an API server with the Lease, and pods that count exchanges.
// Everything that happens is an event in one queue, chosen by one seed, so that a history can be repeated. Time is in ns of the
// world; each host has a clock of its own that runs up to 1 % too fast or too slow.
namespace router::fleet::test {

using Time = std::int64_t;
inline constexpr Time kMs = 1'000'000;
inline constexpr Time kSecond = 1000 * kMs;
inline constexpr Time kDrainDelay = 5 * kSecond;  // from then on nothing arrives at a process that drains

class Process;

/// The data path of a process, in the place of the one that Process has: it obeys, and says so to the machine by `Applied`.
using Obey = std::function<void(Process& process, const Assignment& assignment)>;

struct WorldOptions {
  std::uint64_t seed = 1;
  Rules rules = {};
  Timing timing = {};
  int hosts = 3;
  bool fixed = false;
  bool any_lists = false;  // fixed peers: the lists that processes read differ as they like
  int namespaces = 3;
  int pods_each = 2;
  double loss = 0;        // of frames
  double duplicates = 0;  // of frames, which come again up to 2 s later
  double drift = 0.01;    // clocks run by so much too fast or too slow
  Time exchange_max = 12 * kSecond;
  bool long_exchanges = false;  // every exchange runs for hours: only aborts and ends of processes end it
  Obey obey = {};
};

struct Pod {
  std::string id;
  std::string name_space;
  std::uint32_t slots = 1;
};

/// One exchange, as the pod counts it.
struct Exchange {
  std::uint64_t number = 0;
  std::string pod;
  Process* owner = nullptr;
  bool excused = false;  // its owner was frozen for longer than its grace: the documented exception
};

class World {
 public:
  explicit World(WorldOptions options);
  ~World();

  // --- time
  Time now() const { return now_; }
  void at(Time delay, std::function<void()> what);
  void run_for(Time duration);  // stops at the first violation
  std::uint64_t steps() const { return steps_; }

  // --- chance
  Time between(Time low, Time high) { return std::uniform_int_distribution<Time>(low, high)(random_); }
  bool chance(double p) { return std::uniform_real_distribution<double>(0, 1)(random_) < p; }
  int pick(int count) { return static_cast<int>(between(0, count - 1)); }

  // --- processes
  std::map<int, std::vector<std::string>> lists;  // fixed peers: of hosts whose next process starts with another list than all
  static std::vector<std::string> addresses(const std::vector<int>& hosts);
  Process* spawn(int host, bool same_pod = false, Protocols protocols = {});
  Process* process(int host) const { return current_.at(static_cast<std::size_t>(host)); }
  Process* at_address(const std::string& address) const;
  std::vector<Process*> alive() const;
  bool runs(const std::string& id) const;  // a process that is alive and has this id now
  void crash(int host, bool proof);
  void freeze(int host, Time length);
  void drain(int host);
  int hosts() const { return static_cast<int>(current_.size()); }

  // --- the network between hosts, and from hosts to the API server
  void cut(int from, int to) { cuts_.insert({from, to}); }
  void cut_both(int a, int b) { cut(a, b), cut(b, a); }
  void isolate(int host);
  void heal() { cuts_.clear(); }
  void heal(int a, int b) { cuts_.erase({a, b}), cuts_.erase({b, a}); }
  bool path(int from, int to) const { return cuts_.count({from, to}) == 0; }
  void set_api(int host, bool up) { api_up_.at(static_cast<std::size_t>(host)) = up; }
  void set_api(bool up) { api_up_.assign(api_up_.size(), up); }
  bool api_up(int host) const { return api_up_.at(static_cast<std::size_t>(host)); }

  // --- the Lease
  struct Lease {
    bool exists = false;
    std::uint64_t version = 0;
    std::uint64_t object = 1;  // rises when it is made again
    std::string roster;
  };
  Lease lease;
  std::vector<std::string> rosters;  // all that were written
  std::uint64_t conflicts = 0;
  std::uint64_t frames = 0;       // that processes wanted to send
  std::size_t longest_frame = 0;  // bytes
  bool slow_api = false;
  std::optional<int> late_answers;  // a host that gets the API server's answers 1.8 s late
  std::optional<int> late_events;   // a host whose watch is 2 s late
  void lease_changed();             // tells the watches
  void call_api(Process& process, bool writes, std::function<LeaseOutcome()> serve, std::function<void(LeaseOutcome)> answer);

  // --- pods
  std::vector<Pod> pods;
  void begin(Process& owner, const std::string& pod, std::uint32_t allowed);
  void end(std::uint64_t exchange) { running_.erase(exchange); }
  std::size_t running_at(const std::string& pod) const;
  void excuse(const Process& owner);
  std::size_t running_of(const Process& process) const;
  std::uint64_t started() const { return started_; }
  void change_services(std::function<void()> change);  // each process learns of it within a second
  void serve(Process& process);

  // --- judgement
  const std::string& violation() const { return violation_; }
  void note(std::string line);
  std::string history() const;
  bool all_served() const;
  std::string state() const;
  bool wait_served(Time limit);

  WorldOptions options;

 private:
  struct Due {
    Time time;
    std::uint64_t order;
    std::shared_ptr<std::function<void()>> what;
    bool operator>(const Due& other) const { return std::pair(time, order) > std::pair(other.time, other.order); }
  };

  std::mt19937_64 random_;
  Time now_ = 0;
  std::priority_queue<Due, std::vector<Due>, std::greater<>> queue_;
  std::uint64_t order_ = 0;
  std::uint64_t steps_ = 0;
  std::vector<Process*> current_;  // by host
  std::vector<std::unique_ptr<Process>> processes_;
  std::vector<double> rates_;
  std::vector<std::string> pod_uids_;
  std::set<std::pair<int, int>> cuts_;
  std::vector<bool> api_up_;
  std::map<std::uint64_t, Exchange> running_;
  std::uint64_t started_ = 0;
  std::string violation_;
  std::deque<std::string> history_;
};

/// One process: a Machine, and a data path that obeys it and uses every slot that it may.
class Process {
 public:
  Process(World& world, int host, double rate, Identity identity, Options options);

  const int host;
  Machine machine;
  Identity identity;
  bool alive = true;
  bool frozen = false;
  Time closes_at = 0;      // it drains
  bool lost_node = false;  // it died and its host does not answer
  Protocols protocols;
  std::uint64_t begun = 0;

  BootTime clock() const {
    return BootTime(BootDuration(offset_ + static_cast<Time>(static_cast<double>(world_.now()) * rate_)));
  }
  void handle(Event event);  // at once, or when it runs again
  void start();
  void thaw();
  void kill() { alive = false; }
  void abort_all();
  bool uses_up() const;  // a frozen process past its grace: the documented exception
  const Assignment& applied() const { return applied_; }
  std::vector<ServedNamespace> served;

  // links
  struct Link {
    Process* peer = nullptr;
    LinkId other = 0;
    std::deque<std::pair<Time, std::string>> frames;  // to the peer
    bool pumping = false;
    Time stalled_since = 0;
  };
  std::map<LinkId, Link> links;
  bool linked_to(const Process& peer) const;
  void open(Process& peer);
  void end_link(LinkId link);  // on this side

 private:
  void act();
  void act(const Action& action);
  void tick();
  void dial();
  void work();
  void apply(const Assignment& assignment);
  void tell_holdings();
  void send(LinkId link, const std::string& text);
  void pump(LinkId link);
  void reached_dead(LinkId link, Process& peer);
  void lease_get();
  void lease_put(const LeasePut& put);
  void lease_stamp(const std::string& version);

  World& world_;
  const double rate_;
  const Time offset_;
  Assignment applied_;
  std::uint64_t seen_version_ = 0;
  std::vector<std::string> wanted_;
  std::deque<std::function<void()>> deferred_;
  std::map<std::uint64_t, std::string> open_;  // exchanges, by number, with the pod
  std::set<std::uint64_t> aborted_;
  bool cut_ = false;
  friend class World;
};

std::string name_space_of(const World& world, const std::string& pod);

}  // namespace router::fleet::test
