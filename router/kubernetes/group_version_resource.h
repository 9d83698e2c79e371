#pragma once

#include <string>
#include <string_view>

namespace router::kubernetes {

/// A kind of objects as the API server's paths name it.
struct GroupVersionResource {
  std::string group;    // empty: the core group
  std::string version;  // `v1`
  std::string plural;   // `secrets`

  /// `endpointslices.discovery.k8s.io`, as RBAC and kubectl speak of it.
  std::string name() const { return group.empty() ? plural : plural + "." + group; }
  /// `v1` or `discovery.k8s.io/v1`.
  std::string api_version() const { return group.empty() ? version : group + "/" + version; }
};

/// `/apis/discovery.k8s.io/v1/namespaces/a/endpointslices`; `namespace_name` empty: of all namespaces, or the kind has none.
std::string collection_path(const GroupVersionResource& resource, std::string_view namespace_name);
/// The same with the object's name; `subresource`: `status`, or empty.
std::string object_path(const GroupVersionResource& resource, std::string_view namespace_name, std::string_view name,
                        std::string_view subresource = "");

/// Everything but letters, digits and `-._~` (RFC 3986, section 2.1).
std::string percent_encoded(std::string_view text);

}  // namespace router::kubernetes
