#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "router/base/task.h"
#include "router/dispatch/request_queue.h"
#include "router/runtime/task_group.h"
#include "tests/support/test_shard.h"
#include "tests/unit/fleet/world.h"

// What the routers of a simulated fleet do with requests: real queues and slots (router/dispatch) obey the assignments of real
// machines (router/fleet), and requests are sent on from router to router, in the time of the World.
namespace router::fleet::test {

struct Request {
  Time arrival = 0;
  Time service = 0;
  int at = 0;       // the router that it arrives at
  Time begun = -1;  // at its pod
};

struct Traffic {
  std::uint64_t seed = 1;
  std::size_t requests = 0;
  std::size_t slots = 1;
  double service_ms = 50;  // on average; log-normal, coefficient of variation 2
  double load = 0.8;       // of all slots
  std::array<double, 3> shares{1, 1, 1};
};
/// Poisson arrivals, in their order.
std::vector<Request> requests_of(const Traffic& traffic);

/// How long each would wait in one queue before `slots` slots, if nothing took time but the service.
std::vector<Time> ideal_waits(const std::vector<Request>& requests, std::size_t slots);

/// The wait that 99 in 100 do not exceed. The first tenth is left out: the queue fills.
Time p99(std::vector<Time> waits);

struct DataPathOptions {
  Time hop = kMs / 4;     // a message between two routers takes 0.6 to 1.4 of it
  Time look = 20 * kMs;   // while nobody is home, or the own queue is about to come back
  Time pause = 20 * kMs;  // before a home that has refused is asked once more, after three times
  bool tells_age = true;  // off: a request that is sent on gets the position of its arrival there
  bool splits = false;    // no fleet: the pods are split among the routers, each of which serves its own clients
};

/// The data paths of all processes. One namespace, one deployment; a pod's slots are those of the World's `pods`.
class DataPath {
 public:
  explicit DataPath(DataPathOptions options) : options_(options) {}
  DataPath(const DataPath&) = delete;
  DataPath& operator=(const DataPath&) = delete;
  ~DataPath();

  /// For WorldOptions::obey.
  void obey(Process& process, const Assignment& assignment);
  /// Before the first process starts.
  void attach(World& world);
  /// Every request arrives so long after now. Ends when all have been served, or at a violation.
  void run(std::vector<Request>& requests);
  /// The index of the router that is home; -1: none.
  int home() const;
  /// Later requests of this router's clients arrive at another one.
  void leave(int router) { left_ = router; }
  const std::string& violation() const { return violation_; }

 private:
  struct Router {
    explicit Router(int number);
    const int index;
    router::test::TestShard shard;
    std::vector<std::shared_ptr<dispatch::Replica>> replicas;  // in the order of the World's pods
    std::shared_ptr<dispatch::RequestQueue> queue;
    Process* process = nullptr;
    std::uint64_t applied = 0;
    int home = -1;
    std::map<std::size_t, dispatch::HeldSlot> running;
    std::unique_ptr<runtime::TaskGroup> tasks;
  };

  void offer(std::size_t number, int named = -1, int tries = 0);
  void reach(std::size_t number, int home, Duration age, int tries);
  void refuse(std::size_t number, int home, int tries);
  Task<void> wait(Router& at, std::size_t number, Duration age, int tries);
  void begin(Router& at, std::size_t number, dispatch::HeldSlot slot);
  void end(Router& at, std::size_t number);
  void turn(Router& router);
  void tell(Router& router);
  void set_slots(Router& router, const Assignment& assignment);
  int index_of(const std::string& member) const;
  Time hop() { return world_->between(options_.hop * 6 / 10, options_.hop * 14 / 10); }
  void fail(std::string what);

  const DataPathOptions options_;
  World* world_ = nullptr;
  std::vector<std::unique_ptr<Router>> routers_;
  std::map<std::string, std::size_t> at_pods_;  // exchanges, as the pods count
  std::vector<Request>* requests_ = nullptr;
  std::size_t served_ = 0;
  int left_ = -1;
  std::string violation_;
};

}  // namespace router::fleet::test
