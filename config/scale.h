#pragma once

#include <optional>
#include <string>

#include "config/config.h"
#include "config/reader.h"

/// Reads what the autoscaler needs to know: `scale_settings` of Azure ML, and the router's own keys. Reads no files. Any
/// thread.
namespace router::config {

/// `off`, `observe` or `act`. YAML 1.1, which kubectl and Helm read, makes the flag `false` of the bare word `off`, so `false`
/// means `off`, too. nullopt: the key is missing, or has another value, which is a mistake.
std::optional<AutoscalerMode> read_autoscaler(MapReader& map, const std::string& key);

/// `scale_settings`, if present, with Azure ML's defaults. A `type` that is missing is `target_utilization`, as in Azure ML for
/// Kubernetes (Azure's reference of `scale_settings`). A bound that is missing gives way to the other one: a maximum of 3 alone
/// means 1 to 3, a minimum of 3 alone means 3 to 3.
/// Source: https://learn.microsoft.com/azure/machine-learning/reference-yaml-deployment-kubernetes-online
std::optional<ScaleSettings> read_scale_settings(MapReader& document);

/// `router: {scaling: …}` of a resource. A file has no such key: nothing scales the replicas that a file lists.
void read_scaling(MapReader& router, Scaling& into);

}  // namespace router::config
