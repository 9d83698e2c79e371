#include <algorithm>
#include <string>
#include <string_view>

#include "router/kubernetes/kubeconfig.h"
#include "tests/fuzz/support.h"

/// A kubeconfig file. Accepted values can be put into a request unchanged. Messages fit a terminal.
namespace router::kubernetes {
namespace {

using fuzz::require;

bool is_visible(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7f; });
}

void try_file(const std::string& file) {
  const auto cluster = read_kubeconfig(file);
  if (!cluster.ok()) {
    const std::string told(cluster.status().message());
    require(std::none_of(told.begin(), told.end(), [](char c) {
      const auto byte = static_cast<unsigned char>(c);
      return (byte < ' ' && c != '\n') || byte == 0x7f;
    }));
    return;
  }
  require(!cluster->host.empty() && is_visible(cluster->host) && cluster->port > 0);
  require(cluster->host.find_first_of("/?#@") == std::string::npos);
  require(cluster->base_path.empty() || cluster->base_path.starts_with('/'));
  require(!cluster->base_path.ends_with('/') && is_visible(cluster->base_path));
  require(cluster->base_path.find_first_of("?#") == std::string::npos);
  require(cluster->certificate.is_given() == cluster->key.is_given());
  require(cluster->verify || !cluster->authorities.is_given());
}

}  // namespace
}  // namespace router::kubernetes

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static router::fuzz::MemoryFile file;
  file.write(router::fuzz::text_of(data, size));
  router::kubernetes::try_file(file.path());
  return 0;
}
