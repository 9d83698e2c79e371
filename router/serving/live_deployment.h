#pragma once

#include <chrono>
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

/// `endpoint/deployment`, lower case, behind the namespace if it is a resource: what keeps its queue and its replicas from one
/// configuration to the next. Deployments of the same name in different namespaces have nothing in common.
using DeploymentKey = std::string;
DeploymentKey deployment_key(const std::string& namespace_name, const std::string& endpoint, const std::string& deployment);
DeploymentKey deployment_key(const config::Deployment& deployment);

/// One replica with what tells whether it is ready: its source, or a probe.
struct LiveReplica {
  std::shared_ptr<upstream::Replica> replica;
  std::unique_ptr<discovery::ReplicaProber> prober;     // none if the source tells
  discovery::ProbeTarget target;                        // what the prober asks, and the readmission
  dispatch::Condition condition;                        // of which `readmission` takes care
  std::unique_ptr<discovery::Readmission> readmission;  // while it is out: ejected, or refusing
  bool ready = false;
  bool terminating = false;  // no member of the queue any more
  /// Why it is not ready, or why its last probe failed although it still counts as ready; empty: nothing is wrong with it.
  std::string why;
  /// Causes of its not being ready: each change is logged, at most six in a minute, so that a replica which fails in two ways
  /// by turns does not fill the log.
  LogDeduplicator causes{
      {.repeat = LogDeduplicator::Options::Repeat::kLastLogged, .logged_max = 6, .window = std::chrono::seconds(60)}};
};

/// What lives on between configurations, of one deployment.
struct LiveDeployment {
  std::string endpoint;
  std::string name;
  std::shared_ptr<dispatch::RequestQueue> queue;
  std::shared_ptr<metrics::DeploymentMetrics> metrics;
  std::shared_ptr<const upstream::Transport> transport;
  std::map<std::string, LiveReplica> replicas;  // by identity, address and what a connection to it depends on
  config::Deployment settings;
  bool trouble_is_current = true;  // to the queue, or is about to be
};

}  // namespace router::serving
