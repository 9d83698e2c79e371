#pragma once

#include <string>
#include <vector>

#include "config/config.h"
#include "config/reader.h"

/// The documents of Azure ML's CLI v2 (`kubernetesOnline…` and `managedOnline…` endpoints and deployments) with our `router:`
/// key. Every key of the public schemas is known: used, or accepted and told in `ignored_keys`.
/// Sources: https://learn.microsoft.com/azure/machine-learning/reference-yaml-deployment-kubernetes-online, …-managed-online,
/// reference-yaml-endpoint-online, reference-yaml-environment, and the schemas of the Python package azure-ai-ml.
namespace router::config {

/// A deployment's part of `traffic` or `mirror_traffic`.
struct Share {
  std::string name;
  int percent = 0;
  Location location;
};

/// An endpoint with the places that checks over several files speak of. `traffic` and `mirror_traffic` of the endpoint are
/// still empty: only when all deployments are known can the shares be given to them.
struct EndpointDocument {
  Endpoint endpoint;
  Location name;
  Location auth_mode;
  Location traffic_location;
  std::vector<Share> traffic;
  std::vector<Share> mirror_traffic;
  std::vector<Location> hostnames;  // one for each host name
  Location primary_key_file;
  Location secondary_key_file;
  Location keys_secret;  // of a resource
};

struct DeploymentDocument {
  Deployment deployment;
  Location name;
  Location endpoint_name;
  Location service;  // of a resource
};

enum class DocumentKind { kEndpoint, kDeployment, kOther };

/// What a document describes: by `$schema` if there is one, by its keys otherwise. Adds a mistake for kOther.
DocumentKind kind_of(MapReader document);
/// Of a resource, the document is its `spec`, and what its metadata says is not known here: resource.h adds it.
EndpointDocument read_endpoint(MapReader document);
DeploymentDocument read_deployment(MapReader document);

/// The name of an endpoint or a deployment under `key` (Azure ML's rules); a mistake if it is missing or bad.
std::string read_name(MapReader& document, const std::string& key);
void check_name(const std::string& name, const Location& location, Findings& findings);

}  // namespace router::config
