#pragma once

#include <boost/json/object.hpp>
#include <string>

#include "router/kubernetes/api_client.h"

/// Requests that change objects, for ApiClient::request. Paths come from resource.h.
namespace router::kubernetes {

/// Server-side apply: makes the object what `object` says, and makes it if it is not there. The fields are ours from then on,
/// whoever had them before; what we had applied earlier and is not in `object` goes. `path`: of the object or its `status`.
ApiRequest apply_request(const std::string& path, const boost::json::object& object);
/// 409 if it is there already. `path`: of the collection.
ApiRequest create_request(const std::string& path, const boost::json::object& object);
/// 409 if it has changed since `metadata.resourceVersion`.
ApiRequest replace_request(const std::string& path, const boost::json::object& object);
/// Merge patch (RFC 7386): changes the members that `change` names. 409 as above.
ApiRequest merge_request(const std::string& path, const boost::json::object& change);

}  // namespace router::kubernetes
