#pragma once

#include <absl/status/statusor.h>

#include <string>

#include "router/kubernetes/cluster_config.h"

namespace router::kubernetes {

/// The current context of a kubeconfig file; see read_cluster_config. Paths in it are relative to its folder.
absl::StatusOr<ClusterConfig> read_kubeconfig(const std::string& file);

}  // namespace router::kubernetes
