#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <string>
#include <string_view>

#include "router/discovery/cluster.h"

/// Reads those parts of an API server's objects that the router uses. A member of the wrong type counts as missing. Nothing
/// here fails.
namespace router::discovery {

/// Labels by which Azure ML's extension names the endpoint and deployment of a Pod.
inline constexpr const char* kEndpointLabel = "ml.azure.com/endpoint-name";
inline constexpr const char* kDeploymentLabel = "ml.azure.com/deployment-name";

ObjectKey key_of(const boost::json::object& object);
Slice read_slice(const boost::json::object& object);
LabelledPod read_pod(const boost::json::object& object);
/// The deployment of a Pod by its labels, as a label_key.
ObjectKey read_label_key(const boost::json::object& pod);
/// A key is visible ASCII, at most 4096 bytes, without the line end that editors add, as in a key file.
SecretKeys read_secret(const boost::json::object& object);

/// A member of `metadata`; empty or 0 if it is missing.
std::string metadata_text(const boost::json::object& object, std::string_view key);
std::int64_t metadata_number(const boost::json::object& object, std::string_view key);

/// The member `status`; empty if it is missing.
boost::json::object read_status(const boost::json::object& object);

/// Reads the identity, versions and status of a resource, but not its spec.
template <class Document>
CustomResource<Document> read_metadata(const boost::json::object& object) {
  CustomResource<Document> resource;
  resource.uid = metadata_text(object, "uid");
  resource.generation = metadata_number(object, "generation");
  resource.created = metadata_text(object, "creationTimestamp");
  resource.version = metadata_text(object, "resourceVersion");
  resource.status = read_status(object);
  return resource;
}

}  // namespace router::discovery
