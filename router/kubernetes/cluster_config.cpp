#include "router/kubernetes/cluster_config.h"

#include <absl/strings/numbers.h>

#include <cstdlib>
#include <utility>

#include "router/base/host_port.h"
#include "router/files/read_file.h"
#include "router/kubernetes/kubeconfig.h"

namespace router::kubernetes {
namespace {

constexpr std::size_t kNamespaceMax = 4096;  // bytes; a namespace has at most 63 characters

std::string without_line_ends(std::string text) {
  while (text.ends_with('\n') || text.ends_with('\r')) text.pop_back();
  return text;
}

Material in_file(const std::string& file) { return {file, "", file}; }

absl::StatusOr<ClusterConfig> read_service_account(const std::string& folder, const Environment& environment) {
  ClusterConfig cluster;
  cluster.host = environment("KUBERNETES_SERVICE_HOST");
  const std::string port = environment("KUBERNETES_SERVICE_PORT");
  std::uint32_t number = 0;
  if (cluster.host.empty() || !absl::SimpleAtoi(port, &number) || number == 0 || number > 65535) {
    return absl::InvalidArgumentError(
        "kubernetes: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT do not name an API server, so this is no pod: name a "
        "kubeconfig file");
  }
  cluster.port = static_cast<std::uint16_t>(number);
  cluster.server_name = cluster.host;
  cluster.authorities = in_file(folder + "/ca.crt");
  cluster.token = in_file(folder + "/token");
  files::FileText namespace_name = files::read_file(folder + "/namespace", kNamespaceMax);
  if (namespace_name.mistake.empty()) cluster.namespace_name = without_line_ends(std::move(namespace_name.text));
  return cluster;
}

}  // namespace

std::string ClusterConfig::authority() const { return join_host_port(host, port); }

Environment process_environment() {
  return [](const char* variable) {
    const char* value = std::getenv(variable);
    return std::string(value != nullptr ? value : "");
  };
}

absl::StatusOr<ClusterConfig> read_cluster_config(const config::Kubernetes& settings, const Environment& environment) {
  if (!settings.kubeconfig.empty()) return read_kubeconfig(settings.kubeconfig);
  return read_service_account(settings.service_account_folder, environment);
}

}  // namespace router::kubernetes
