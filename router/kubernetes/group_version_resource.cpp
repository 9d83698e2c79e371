#include "router/kubernetes/group_version_resource.h"

#include "router/base/text.h"

namespace router::kubernetes {

std::string percent_encoded(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string encoded;
  for (const char c : text) {
    if (is_alphanumeric(c) || c == '-' || c == '.' || c == '_' || c == '~') {
      encoded += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      encoded += '%';
      encoded += kDigits[byte >> 4];
      encoded += kDigits[byte & 15];
    }
  }
  return encoded;
}

std::string collection_path(const GroupVersionResource& resource, std::string_view namespace_name) {
  std::string path = resource.group.empty() ? "/api/" : "/apis/" + percent_encoded(resource.group) + "/";
  path += percent_encoded(resource.version);
  if (!namespace_name.empty()) path += "/namespaces/" + percent_encoded(namespace_name);
  return path + "/" + percent_encoded(resource.plural);
}

std::string object_path(const GroupVersionResource& resource, std::string_view namespace_name, std::string_view name,
                        std::string_view subresource) {
  std::string path = collection_path(resource, namespace_name) + "/" + percent_encoded(name);
  if (!subresource.empty()) path += "/" + percent_encoded(subresource);
  return path;
}

}  // namespace router::kubernetes
