#pragma once

#include <functional>
#include <memory>
#include <string>

#include "config/config.h"
#include "router/base/task.h"
#include "router/runtime/address.h"
#include "router/runtime/task_group.h"
#include "router/runtime/wakeup.h"
#include "tls/context.h"

namespace router::discovery {

/// Whom to ask for readiness, and how.
struct ProbeTarget {
  std::string name;  // host:port, the Host that is sent
  runtime::Address address;
  config::HttpRoute route;
  config::Probe settings;
  std::shared_ptr<tls::ClientContext> tls;  // of the control thread; nullptr: plaintext
  std::string server_name;
  std::function<std::uint64_t()> exchanges_finished;  // grows while the replica answers scoring requests; may be empty
};

/// Asks one replica over and over whether it is ready, as a kubelet would: a GET of its readiness route, each on a connection
/// of its own; ready is a status from 200 to 399 within the timeout. Tells changes only. A replica begins as not ready; the
/// first question is asked at once and failures within `initial_delay` do not count. While it is not ready it is asked at least
/// once a second, so that a replica which has come up is used soon. Control thread; ends when destroyed.
class ReplicaProber {
 public:
  /// `group` owns the task and outlives it; it must have room.
  ReplicaProber(runtime::Shard& control, runtime::TaskGroup& group, ProbeTarget target,
                std::function<void(bool ready)> changed);
  ~ReplicaProber();

 private:
  struct Probing;
  std::shared_ptr<Probing> probing_;
};

enum class Readiness { kReady, kNotReady, kNoAnswer };

/// One question. Suspends, until `deadline` at most.
Task<Readiness> ask_for_readiness(runtime::Wakeup& wakeup, const ProbeTarget& target, Deadline deadline, const bool& stopped);

}  // namespace router::discovery
