#pragma once

#include <boost/json/object.hpp>

#include "config/azureml.h"

namespace router::config {

/// Reads a Kubernetes resource (group inference-router.dev) as the API server sends it. `spec` is an Azure ML document and is
/// read like a file, with the differences that docs/kubernetes.md lists. `namespace_name` becomes the resource's namespace.
/// `keys_secret`, `service` and the target of `scaling` get defaults made of the names. Locations have no line: their `file` is
/// `OnlineEndpoint namespace/name`, and paths begin with `spec.` or `metadata.`; Findings::brief shows only the paths. Reads
/// neither files nor environment of the process. Any thread.
///
/// A document with mistakes may be used only to name it in messages.
EndpointDocument read_endpoint_resource(const boost::json::object& object, Findings& findings);
DeploymentDocument read_deployment_resource(const boost::json::object& object, Findings& findings);

/// The name of the Service, and of the Deployment that `convert` writes, unless the deployment names one:
/// `{endpoint}-{deployment}`.
std::string default_service_name(const std::string& endpoint, const std::string& deployment);

/// Converts a JSON value to the type that the readers take, with line 0 everywhere. If it exceeds `limits` (depth_max,
/// nodes_max), returns nullptr and adds a mistake at `location`.
std::shared_ptr<const YamlValue> to_yaml_value(const boost::json::value& value, const Location& location, Findings& findings,
                                               const YamlLimits& limits = {});

}  // namespace router::config
