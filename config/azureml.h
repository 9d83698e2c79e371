#pragma once

#include <string>
#include <vector>

#include "config/config.h"
#include "config/reader.h"

/// Reads the documents of Azure ML's CLI v2 (`kubernetesOnline…` and `managedOnline…` endpoints and deployments) with the
/// router's own key `router:`. Every key of the public schemas is known: the router uses it, or accepts it and lists it in
/// `ignored_keys`.
/// Sources: https://learn.microsoft.com/azure/machine-learning/reference-yaml-deployment-kubernetes-online, …-managed-online,
/// reference-yaml-endpoint-online, reference-yaml-environment, and the schemas of the Python package azure-ai-ml.
namespace router::config {

/// A deployment's part of `traffic` or `mirror_traffic`.
struct Share {
  std::string name;
  int percent = 0;
  Location location;
};

/// An endpoint with the locations that checks across several files name in messages. `traffic` and `mirror_traffic` of the
/// endpoint are still empty: `join` assigns the shares when all deployments are known.
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
  Location keys_secret;  // resources only
};

struct DeploymentDocument {
  Deployment deployment;
  Location name;
  Location endpoint_name;
  Location service;  // resources only
};

enum class DocumentKind { kEndpoint, kDeployment, kOther };

/// The kind of a document: from `$schema` if there is one, otherwise from its keys. Adds a mistake for kOther.
DocumentKind kind_of(MapReader document);
/// For a resource, the document is its `spec`. These functions do not see its metadata: resource.h adds what the metadata says.
EndpointDocument read_endpoint(MapReader document);
DeploymentDocument read_deployment(MapReader document);

/// Reads the name of an endpoint or a deployment from `key` (Azure ML's rules). A missing or invalid name is a mistake.
std::string read_name(MapReader& document, const std::string& key);
void check_name(const std::string& name, const Location& location, Findings& findings);

}  // namespace router::config
