#pragma once

#include <map>
#include <string>
#include <vector>

#include "router/discovery/cluster_join.h"
#include "router/discovery/found_replica.h"
#include "router/discovery/reconcile_result.h"
#include "router/serving/live_deployment.h"

namespace router::serving {

/// The result of every resource of a join, with the number of replicas of each deployment and why some of them were refused.
std::vector<discovery::ReconcileResult> results_of(const discovery::Joined& joined,
                                                   const std::map<DeploymentKey, discovery::FoundReplicas>& replicas);

/// Logs what is wrong with resources, once for as long as it stays the same. Control thread.
class ReconcileLog {
 public:
  struct News {
    std::map<std::string, std::string> wrong;  // by kind and object: all that is wrong now
    std::vector<std::string> lines;            // for the log: what is new
  };
  /// Throws std::bad_alloc.
  News prepare(const std::vector<discovery::ReconcileResult>& results) const;
  void write(News& news) noexcept;

 private:
  std::map<std::string, std::string> told_;
};

}  // namespace router::serving
