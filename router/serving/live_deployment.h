#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "config/config.h"
#include "router/base/log_deduplicator.h"
#include "router/discovery/probe.h"
#include "router/discovery/readmission.h"
#include "router/dispatch/request_queue.h"
#include "router/metrics/registry.h"
#include "router/upstream/replica.h"

namespace router::serving {

/// `endpoint/deployment` in lower case, after `namespace/` if the deployment is a resource. A deployment with the same key in
/// the next configuration keeps its queue and replicas. Deployments of the same name in different namespaces share nothing.
using DeploymentKey = std::string;
DeploymentKey deployment_key(const std::string& namespace_name, const std::string& endpoint, const std::string& deployment);
DeploymentKey deployment_key(const config::Deployment& deployment);

/// The configured lengths. The queue's own is otherwise twice the slots of so many replicas and at least 64: without a limit
/// per replica there are no slots to count.
dispatch::QueueOptions queue_options(const config::Deployment& settings, std::size_t replicas);

/// One replica, with what decides whether it is ready: its source, or a probe.
struct LiveReplica {
  std::shared_ptr<upstream::Replica> replica;
  std::string pod;                                      // its pod's name: the same text on every router of a fleet
  std::unique_ptr<discovery::ReplicaProber> prober;     // null if the source decides
  discovery::ProbeTarget target;                        // for the prober and the readmission
  dispatch::Condition condition;                        // as last seen; unless it is well, there is a `readmission`
  std::unique_ptr<discovery::Readmission> readmission;  // while it is ejected or refusing
  bool ready = false;
  bool terminating = false;  // no longer a member of the queue
  bool keeps_pools = true;   // for idle connections that no slot counts; in a fleet, not while its pod has a limit
  /// Why the replica is not ready, or why its last probe failed although it still counts as ready. Empty if nothing is wrong.
  std::string why;
  /// Causes for which the replica is not ready. Each change is logged, at most six in a minute, so that a replica that
  /// alternates between two causes does not fill the log.
  LogDeduplicator causes{
      {.repeat = LogDeduplicator::Options::Repeat::kLastLogged, .logged_max = 6, .window = std::chrono::seconds(60)}};
};

/// What this process has counted for one deployment since it was configured: the parts of `scaling::Integrals`. A deployment
/// that was removed and configured again begins at 0, with another `made`.
struct Counted {
  std::uint64_t made = 0;          // the generation of the configuration that added the deployment
  dispatch::QueueIntegrals queue;  // counts only after `RequestQueue::set_counting`
  metrics::Offered offered;        // counts always
  std::size_t waking = 0;          // requests held now, until a first replica is ready
};

/// The state of one deployment that outlives a configuration.
struct LiveDeployment {
  /// Any thread, as long as the object lives.
  Counted counted() const;

  std::string endpoint;
  std::string name;
  std::shared_ptr<dispatch::RequestQueue> queue;
  std::shared_ptr<metrics::DeploymentMetrics> metrics;
  std::uint64_t made = 0;           // the generation of the configuration that added it
  metrics::Offered offered_before;  // counted in the same cells by a deployment of the same name that was removed
  std::shared_ptr<const upstream::Transport> transport;
  std::map<std::string, LiveReplica> replicas;  // by identity, address and TLS settings
  config::Deployment settings;
  bool trouble_is_current = true;  // false: an update of the queue's text is posted
};

}  // namespace router::serving
