#pragma once

#include <boost/json/object.hpp>
#include <string>
#include <string_view>

#include "router/kubernetes/api_client.h"

/// Requests that change objects, for ApiClient::request. Paths come from group_version_resource.h.
namespace router::kubernetes {

/// Server-side apply: creates the object, or sets the fields that `object` contains. The router then owns these fields, even
/// if another manager owned them before. Fields that it applied earlier and that `object` lacks are removed. `path` is that of
/// the object or of its `status`.
ApiRequest apply_request(const std::string& path, const boost::json::object& object);
/// Creates an object; the answer is 409 if it exists. `path` is that of the collection.
ApiRequest create_request(const std::string& path, const boost::json::object& object);
/// Replaces an object; the answer is 409 if it has changed since `metadata.resourceVersion`. `manager` owns what is changed.
ApiRequest replace_request(const std::string& path, const boost::json::object& object,
                           std::string_view manager = "inference-router");
/// Merge patch (RFC 7386): changes the members that `change` names. 409 as for replace_request.
ApiRequest merge_request(const std::string& path, const boost::json::object& change);

}  // namespace router::kubernetes
