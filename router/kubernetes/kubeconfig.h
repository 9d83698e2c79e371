#pragma once

#include <absl/status/statusor.h>

#include <string>

#include "router/kubernetes/cluster_config.h"

namespace router::kubernetes {

/// Reads the current context of a kubeconfig file; see read_cluster_config. Paths in the file are relative to its folder.
absl::StatusOr<ClusterConfig> read_kubeconfig(const std::string& file);

}  // namespace router::kubernetes
