#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "config/addresses.h"
#include "config/azureml.h"
#include "config/expand.h"
#include "config/join.h"
#include "config/overlay.h"
#include "config/router_yaml.h"
#include "config/yaml_document.h"
#include "tests/fuzz/support.h"

/// An operator's files, from their bytes to the settings: as router.yaml and as Azure ML's documents. For every content the
/// limits hold, and messages fit a terminal. A record separator (0x1e) separates a file from its overlay.
namespace router::config {
namespace {

using fuzz::require;

/// Small limits, so that inputs of a few bytes reach them.
constexpr YamlLimits kLimits{.bytes_max = 32 * 1024, .depth_max = 12, .nodes_max = 400};

/// The number of values of a tree. A value behind an alias counts for each use.
std::size_t count_nodes(const YamlValue& value, std::size_t depth) {
  require(depth <= kLimits.depth_max + 1);
  std::size_t nodes = 1;
  for (const auto& item : value.items) nodes += count_nodes(*item, depth + 1);
  for (const YamlValue::Member& member : value.members) nodes += count_nodes(*member.value, depth + 1);
  return nodes;
}

void require_shown(const std::string& text) {
  require(std::none_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte < ' ' && c != '\n') || byte == 0x7f;
  }));
}

void require_valid(const Deployment& deployment) {
  require(deployment.scoring_route.path.starts_with('/') && deployment.scoring_route.port > 0);
  require(deployment.request_timeout.count() > 0 && deployment.max_queue_wait.count() >= 0);
  require(deployment.connect_timeout.count() > 0 && deployment.stream_idle_timeout.count() > 0 &&
          deployment.upload_timeout.count() > 0);
  require(deployment.readiness_probe.period.count() > 0 && deployment.readiness_probe.timeout.count() > 0);
  require(deployment.readiness_probe.failure_threshold > 0 && deployment.readiness_probe.success_threshold > 0);
  for (const ReplicaAddress& replica : deployment.replicas) require(is_ip_address(replica.host) || is_host_name(replica.host));
}

void require_valid(const Endpoint& endpoint) {
  int sum = 0;
  for (const auto& [name, percent] : endpoint.traffic) {
    require(percent >= 0 && percent <= 100);
    sum += percent;
    require(std::any_of(endpoint.deployments.begin(), endpoint.deployments.end(),
                        [&wanted = name](const Deployment& each) { return each.name == wanted; }));
  }
  require(sum == 0 || sum == 100);
  for (const Deployment& each : endpoint.deployments) require_valid(each);
}

void require_valid(const Process& process) {
  require(!process.listeners.empty() && (!process.endpoint_globs.empty() || process.kubernetes));
  require(process.limits.max_connections > 0 && process.limits.max_header_bytes > 0);
  for (const Listener& listener : process.listeners) {
    require(is_ip_address(listener.address));
    require(!listener.tls || !listener.tls->certificates.empty());
  }
}

std::string read_as_azureml(const std::string& file) {
  Findings findings;
  std::vector<EndpointDocument> endpoints;
  std::vector<DeploymentDocument> deployments;
  const YamlFile found = read_yaml(file, findings, kLimits);
  std::size_t nodes = 0;
  for (const auto& value : found.documents) {
    nodes += count_nodes(*value, 1);
    if (value->kind != YamlValue::Kind::kMap) continue;
    MapReader document(file, *value, "", findings);
    const DocumentKind kind = kind_of(document);
    if (kind == DocumentKind::kEndpoint) endpoints.push_back(read_endpoint(document));
    if (kind == DocumentKind::kDeployment) deployments.push_back(read_deployment(document));
  }
  require(nodes <= kLimits.nodes_max);
  require(found.complete || findings.has_mistakes());
  const std::vector<Endpoint> joined = join(std::move(endpoints), std::move(deployments), found.complete, findings);
  if (!findings.has_mistakes()) {
    for (const Endpoint& each : joined) require_valid(each);
  }
  require_shown(findings.mistakes());
  for (const std::string& warning : findings.warnings()) require_shown(warning);
  return findings.mistakes();
}

/// A file of Azure ML and its overlay. Their paths are links in a folder to files in memory.
class Beside {
 public:
  Beside() {
    require(::symlink(azure_in_memory_.path().c_str(), azure_.c_str()) == 0);
    require(::symlink(overlay_in_memory_.path().c_str(), overlay_.c_str()) == 0);
  }
  ~Beside() {
    for (const std::string& each : {azure_, overlay_}) ::unlink(each.c_str());
    ::rmdir(folder_.c_str());
  }
  Beside(const Beside&) = delete;
  Beside& operator=(const Beside&) = delete;

  void write(std::string_view azure, std::string_view overlay) {
    azure_in_memory_.write(azure);
    overlay_in_memory_.write(overlay);
  }
  const std::string& overlay() const { return overlay_; }
  std::vector<std::string> files() const { return {azure_, overlay_}; }

 private:
  static std::string make_folder() {
    std::string name = "/tmp/config-fuzz-XXXXXX";
    require(::mkdtemp(name.data()) != nullptr);
    return name;
  }
  fuzz::MemoryFile azure_in_memory_;
  fuzz::MemoryFile overlay_in_memory_;
  const std::string folder_ = make_folder();
  const std::string azure_ = folder_ + "/a.yml";
  const std::string overlay_ = folder_ + "/a.overlay.yml";
};

/// The location of a value from the overlay is in the overlay. `router` is a map that may hold such values.
void require_locations(const YamlValue& value, const std::string& overlay) {
  for (const YamlValue::Member& member : value.members) {
    if (member.elsewhere != nullptr) require(member.elsewhere->file == overlay && member.elsewhere->line > 0);
    if (member.key == "router") require_locations(*member.value, overlay);
  }
}

std::string read_with_overlay(const Beside& files) {
  Findings findings;
  std::vector<EndpointDocument> endpoints;
  std::vector<DeploymentDocument> deployments;
  const FileDocuments found = read_documents(files.files(), findings);
  for (const FileDocument& each : found.all) {
    require_locations(*each.value, files.overlay());
    const MapReader document(each.file, *each.value, "", findings);
    const DocumentKind kind = kind_of(document);
    if (kind == DocumentKind::kEndpoint) endpoints.push_back(read_endpoint(document));
    if (kind == DocumentKind::kDeployment) deployments.push_back(read_deployment(document));
  }
  for (const Endpoint& each : join(std::move(endpoints), std::move(deployments), found.complete, findings)) {
    if (!findings.has_mistakes()) require_valid(each);
  }
  require_shown(findings.mistakes());
  return findings.mistakes();
}

std::string read_as_router_yaml(const std::string& file) {
  Findings findings;
  for (const auto& value : read_yaml(file, findings, kLimits).documents) {
    if (value->kind != YamlValue::Kind::kMap) continue;
    const Process process = read_process(MapReader(file, *value, "", findings));
    if (!findings.has_mistakes()) require_valid(process);
  }
  require_shown(findings.mistakes());
  return findings.mistakes();
}

void try_scalars(std::string_view text) {
  const Expanded expanded = expand(text);
  require_shown(expanded.mistake);
  const std::string whole(text);
  if (const auto parsed = parse_host_and_port(text)) require(!parsed->host.empty() || text.starts_with(':'));
  if (is_ip_address(whole)) require(is_network(whole));
  is_host_name(text);
  is_loopback(whole);
}

}  // namespace
}  // namespace router::config

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static router::fuzz::MemoryFile file;
  const std::string_view text = router::fuzz::text_of(data, size);
  file.write(text);
  const std::string mistakes = router::config::read_as_azureml(file.path());
  router::fuzz::require(router::config::read_as_azureml(file.path()) == mistakes);
  router::config::read_as_router_yaml(file.path());
  router::config::try_scalars(text);
  const std::size_t parted = text.find('\x1e');  // a control character, which YAML does not allow
  if (parted == text.npos) return 0;
  static router::config::Beside beside;
  beside.write(text.substr(0, parted), text.substr(parted + 1));
  const std::string told = router::config::read_with_overlay(beside);
  router::fuzz::require(router::config::read_with_overlay(beside) == told);
  return 0;
}
