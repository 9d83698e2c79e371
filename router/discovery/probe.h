#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "config/config.h"
#include "router/base/task.h"
#include "router/discovery/probe_limit.h"
#include "router/runtime/address.h"
#include "router/runtime/task_group.h"
#include "router/runtime/wakeup.h"
#include "tls/context.h"

namespace router::discovery {

/// Whom to ask for readiness, and how.
struct ProbeTarget {
  std::string name;  // the replica's host:port; the Host that is sent has the host of it, and the port that is asked
  runtime::Address address;
  config::HttpRoute route;
  config::Probe settings;
  std::shared_ptr<tls::ClientContext> tls;  // of the control thread; nullptr: plaintext
  std::string server_name;
  std::function<std::uint64_t()> exchanges_finished;  // grows while the replica answers scoring requests; may be empty
  std::shared_ptr<ProbeLimit> limit;                  // nullptr: as many at once as there are replicas
};

/// Asks one replica over and over whether it is ready, as a kubelet would: a GET of its readiness route, each on a connection
/// of its own; ready is a status from 200 to 399 within the timeout. Tells the first verdict, then changes only. The first
/// question is asked at once, and failures within `initial_delay` do not count. As long as it is not ready it is asked at least
/// once a second, so that a replica which has come up is used soon. A server with one worker cannot answer while it scores: a
/// question that timed out does not count if the replica has finished a scoring request meanwhile.
/// Control thread; ends when destroyed, and calls nothing after that.
class ReplicaProber {
 public:
  /// `group` owns the task and outlives it; it must have room. `changed` is called from the loop.
  ReplicaProber(runtime::Shard& control, runtime::TaskGroup& group, ProbeTarget target,
                std::function<void(bool ready)> changed);
  ReplicaProber(const ReplicaProber&) = delete;
  ReplicaProber& operator=(const ReplicaProber&) = delete;
  ~ReplicaProber();

 private:
  struct Probing;
  std::shared_ptr<Probing> probing_;
};

enum class Readiness {
  kReady,
  kNotReady,     // it answered with another status
  kUnreachable,  // refused, broken off, or not HTTP
  kNoAnswer,     // nothing within the timeout
  kNotAsked,     // this machine could not even try: out of descriptors, memory or ports
};

/// One question. Suspends, until `deadline` at most, or until `wakeup` was woken with `stopped` set.
Task<Readiness> ask_for_readiness(runtime::Wakeup& wakeup, const ProbeTarget& target, Deadline deadline, const bool& stopped);

/// kReady: a connection to `address` is accepted. It is closed again, and nothing is sent. Suspends likewise.
Task<Readiness> ask_for_connection(runtime::Wakeup& wakeup, const runtime::Address& address, Deadline deadline,
                                   const bool& stopped);

}  // namespace router::discovery
