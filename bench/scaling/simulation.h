#pragma once

#include <memory>

#include "bench/scaling/trace.h"

namespace bench::scaling {

/// The pods and their limits.
struct Pods {
  int slots = 1;      // requests at once in a pod
  double start = 30;  // seconds from the request for a pod until it is ready
  int least = 1;
  int most = 40;
  double patience = 0.5;  // seconds that a request waits (Azure ML: max_queue_wait_ms)
};

/// What a rule may see, each second. Sums are since the begin.
struct Seen {
  double now = 0;
  int busy = 0;      // requests in service now
  int waiting = 0;   // now
  int replicas = 0;  // asked for, ready or not
  int ready = 0;
  double busy_seconds = 0;
  double waiting_seconds = 0;
  double held_seconds = 0;  // of requests that have ended
  double told_seconds = 0;  // Retry-After of those that were refused
  std::uint64_t arrivals = 0;
  std::uint64_t ended = 0;
  std::uint64_t refused = 0;
};

/// An autoscaling rule for one run.
class Rule {
 public:
  virtual ~Rule() = default;
  /// The replicas that there should be; the simulation keeps to the limits. Asked each second.
  virtual int replicas(const Seen& seen) = 0;
};

struct Result {
  double refused = 0;      // part of the requests
  double pod_seconds = 0;  // from the request for a pod until it is gone, which is after its last request
  int changes = 0;
};

/// First come first served: the first waiting request gets the first free slot, in the pod with the fewest requests. A request
/// that has waited for `patience`, or finds the queue full, is refused and does not come back. Of the pods that are given up,
/// those that start go first, then those with the fewest requests, and these finish their requests.
Result simulate(const Trace& trace, const Pods& pods, Rule& rule);

}  // namespace bench::scaling
