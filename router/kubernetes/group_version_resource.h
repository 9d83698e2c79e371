#pragma once

#include <string>
#include <string_view>

namespace router::kubernetes {

/// A kind of objects, with the names that the API server's paths use.
struct GroupVersionResource {
  std::string group;    // empty: the core group
  std::string version;  // `v1`
  std::string plural;   // `secrets`

  /// `endpointslices.discovery.k8s.io`, as in RBAC and kubectl.
  std::string name() const { return group.empty() ? plural : plural + "." + group; }
  /// `v1` or `discovery.k8s.io/v1`.
  std::string api_version() const { return group.empty() ? version : group + "/" + version; }
};

/// `/apis/discovery.k8s.io/v1/namespaces/a/endpointslices`. An empty `namespace_name` means all namespaces, or a kind that has
/// none.
std::string collection_path(const GroupVersionResource& resource, std::string_view namespace_name);
/// The path of one object; `subresource` is `status` or empty.
std::string object_path(const GroupVersionResource& resource, std::string_view namespace_name, std::string_view name,
                        std::string_view subresource = "");

/// Encodes every byte but letters, digits and `-._~` (RFC 3986, section 2.1).
std::string percent_encoded(std::string_view text);

}  // namespace router::kubernetes
