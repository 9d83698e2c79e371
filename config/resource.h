#pragma once

#include <boost/json/object.hpp>

#include "config/azureml.h"

namespace router::config {

/// Reads a Kubernetes resource (group inference-router.dev) as the API server sends it: `spec` is a document of Azure ML, read
/// as a file is, with the differences that docs/kubernetes.md lists. `namespace_name` becomes its namespace, and what depends
/// on names gets its default (`keys_secret`, `service`). Locations have no line; their `file` is `OnlineEndpoint
/// namespace/name`, and paths begin with `spec.` or `metadata.`, which is all that Findings::brief shows. Nothing of the
/// process is read, neither files nor environment. Any thread.
///
/// A document with mistakes is there to be named in messages, and for nothing else.
EndpointDocument read_endpoint_resource(const boost::json::object& object, Findings& findings);
DeploymentDocument read_deployment_resource(const boost::json::object& object, Findings& findings);

/// Name of a Service, and of the Deployment that `convert` writes, for a deployment that names none: `{endpoint}-{deployment}`.
std::string default_service_name(const std::string& endpoint, const std::string& deployment);

/// A value of JSON as the readers take it; line 0 everywhere. Beyond `limits` (depth_max, nodes_max) nothing, and a mistake at
/// `location`.
std::shared_ptr<const YamlValue> to_yaml_value(const boost::json::value& value, const Location& location, Findings& findings,
                                               const YamlLimits& limits = {});

}  // namespace router::config
