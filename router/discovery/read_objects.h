#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <string>
#include <string_view>

#include "router/discovery/cluster.h"

/// What the router uses of the objects that an API server sends. Whatever is missing, or is not what Kubernetes says it is, is
/// as if it were not there: nothing here fails.
namespace router::discovery {

/// Labels by which Azure ML's extension says whose a Pod is.
inline constexpr const char* kEndpointLabel = "ml.azure.com/endpoint-name";
inline constexpr const char* kDeploymentLabel = "ml.azure.com/deployment-name";

ObjectKey key_of(const boost::json::object& object);
Slice read_slice(const boost::json::object& object);
LabelledPod read_pod(const boost::json::object& object);
/// Which deployment's it is, by its labels.
ObjectKey read_label_key(const boost::json::object& pod);
/// A key is visible ASCII, at most 4096 bytes, without the line end that editors add: as in a key file.
SecretKeys read_secret(const boost::json::object& object);

/// Of `metadata`; empty, or 0, if it is not there.
std::string metadata_text(const boost::json::object& object, std::string_view key);
std::int64_t metadata_number(const boost::json::object& object, std::string_view key);

/// `status`; empty if there is none.
boost::json::object read_status(const boost::json::object& object);

/// Who a resource is; its document is not read.
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
