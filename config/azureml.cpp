#include "config/azureml.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <regex>

namespace router::config {
namespace {

constexpr std::int64_t kDayMs = 24ll * 60 * 60 * 1000;

void take(const std::optional<std::int64_t>& number, milliseconds& into) {
  if (number) into = milliseconds(*number);
}

std::string read_name(MapReader& document, const std::string& key) {
  static const std::regex kName("[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?");
  const std::optional<std::string> name = document.text(key);
  if (!name) {
    if (!document.has(key)) document.mistake(key, "is missing");
    return {};
  }
  if (name->size() < 3 || name->size() > 32 || !std::regex_match(*name, kName)) {
    document.mistake(key, "a name has 3 to 32 letters, digits and dashes, begins with a letter and does not end with a dash");
  }
  return *name;
}

void read_route(MapReader& inference, const std::string& key, HttpRoute& into) {
  std::optional<MapReader> route = inference.map(key);
  if (!route) return;
  if (const auto port = route->integer("port", 1, 65535)) into.port = static_cast<std::uint16_t>(*port);
  if (const auto path = route->text("path")) {
    into.path = *path;
    const bool plain =
        std::all_of(path->begin(), path->end(), [](char c) { return c > ' ' && c < 0x7f && c != '?' && c != '#'; });
    if (!path->starts_with('/') || !plain) route->mistake("path", "a path begins with / and has no white space, ? or #");
  }
  route->finish();
}

void read_environment(MapReader& document, Deployment& into) {
  if (document.is_scalar("environment")) {  // azureml:name:version
    document.text("environment");
    return;
  }
  std::optional<MapReader> environment = document.map("environment");
  if (!environment) return;
  environment->ignore({"$schema", "name", "version", "image", "conda_file", "build", "os_type", "description", "tags", "path",
                       "properties", "datastore", "creation_context"},
                      into.ignored_keys);
  if (std::optional<MapReader> inference = environment->map("inference_config")) {
    read_route(*inference, "scoring_route", into.scoring_route);
    // Unless told otherwise the probes go where the scoring requests go.
    into.liveness_route.port = into.readiness_route.port = into.scoring_route.port;
    read_route(*inference, "liveness_route", into.liveness_route);
    read_route(*inference, "readiness_route", into.readiness_route);
    inference->finish();
  }
  environment->finish();
}

void read_probe(MapReader& document, const std::string& key, Probe& into) {
  std::optional<MapReader> probe = document.map(key);
  if (!probe) return;
  constexpr std::int64_t kDay = 86400;
  if (const auto number = probe->integer("initial_delay", 0, kDay)) into.initial_delay = seconds(*number);
  if (const auto number = probe->integer("period", 1, kDay)) into.period = seconds(*number);
  if (const auto number = probe->integer("timeout", 1, kDay)) into.timeout = seconds(*number);
  if (const auto number = probe->integer("success_threshold", 1, 100)) into.success_threshold = static_cast<int>(*number);
  if (const auto number = probe->integer("failure_threshold", 1, 100000)) into.failure_threshold = static_cast<int>(*number);
  probe->finish();
}

void read_request_settings(MapReader& document, Deployment& into) {
  std::optional<MapReader> settings = document.map("request_settings");
  if (!settings) return;
  take(settings->integer("request_timeout_ms", 1, kDayMs), into.request_timeout);
  take(settings->integer("max_queue_wait_ms", 0, kDayMs), into.max_queue_wait);
  if (const auto number = settings->integer("max_concurrent_requests_per_instance", 0, 1'000'000)) {
    into.max_concurrent_requests_per_instance = static_cast<std::size_t>(*number);
  }
  settings->finish();
}

void check_scale_settings(MapReader& document, std::vector<std::string>& ignored) {
  std::optional<MapReader> scale = document.map("scale_settings");
  if (!scale) return;
  scale->word("type", {"default", "target_utilization"});
  scale->integer("min_instances", 0, 100000);
  scale->integer("max_instances", 0, 100000);
  scale->integer("polling_interval", 1, 86400);
  scale->integer("target_utilization_percentage", 1, 100);
  scale->finish();
  ignored.emplace_back("scale_settings");
}

void check_resources(MapReader& document, std::vector<std::string>& ignored) {
  std::optional<MapReader> resources = document.map("resources");
  if (!resources) return;
  for (const char* kind : {"requests", "limits"}) {
    std::optional<MapReader> amounts = resources->map(kind);
    if (!amounts) continue;
    for (const char* what : {"cpu", "memory", "nvidia.com/gpu"}) amounts->text(what);
    amounts->finish();
  }
  resources->finish();
  ignored.emplace_back("resources");
}

bool parse_replica(const std::string& text, ReplicaAddress& into) {
  std::size_t colon = text.rfind(':');
  if (text.starts_with('[')) {
    const std::size_t bracket = text.find(']');
    if (bracket == std::string::npos) return false;
    into.host = text.substr(1, bracket - 1);
    if (bracket + 1 == text.size()) return true;
    if (text[bracket + 1] != ':') return false;
    colon = bracket + 1;
  } else {
    into.host = text.substr(0, colon);
  }
  if (into.host.empty() || into.host.find_first_of(" /@") != std::string::npos) return false;
  if (colon == std::string::npos) return true;
  const std::string digits = text.substr(colon + 1);
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), into.port);
  return parsed.ec == std::errc() && parsed.ptr == digits.data() + digits.size() && into.port > 0;
}

void read_upstream_tls(MapReader& router, Deployment& into) {
  std::optional<MapReader> tls = router.map("tls");
  if (!tls) return;
  into.tls.emplace();
  if (const auto verify = tls->boolean("verify")) into.tls->verify = *verify;
  if (const auto file = tls->text("ca_file")) into.tls->ca_file = absolute_path(into.file, *file);
  if (const auto name = tls->text("server_name")) into.tls->server_name = *name;
  tls->finish();
}

void read_deployment_extension(MapReader& document, Deployment& into) {
  std::optional<MapReader> router = document.map("router");
  if (!router) return;
  for (const std::string& text : router->texts("replicas")) {
    ReplicaAddress address;
    if (!parse_replica(text, address)) {
      router->mistake("replicas", "`" + text + "` is not host:port");
      continue;
    }
    const auto same = [&address](const ReplicaAddress& other) {
      return other.host == address.host && other.port == address.port;
    };
    if (std::any_of(into.replicas.begin(), into.replicas.end(), same))
      router->mistake("replicas", "`" + text + "` is given twice");
    into.replicas.push_back(std::move(address));
  }
  read_upstream_tls(*router, into);
  if (const auto number = router->integer("max_queue_length", 0, 1'000'000))
    into.max_queue_length = static_cast<std::size_t>(*number);
  if (const auto number = router->integer("max_request_bytes", 0, 1ll << 50))
    into.max_request_bytes = static_cast<std::uint64_t>(*number);
  take(router->integer("connect_timeout_ms", 1, kDayMs), into.connect_timeout);
  take(router->integer("stream_idle_timeout_ms", 1, kDayMs), into.stream_idle_timeout);
  take(router->integer("abort_wait_ms", 0, kDayMs), into.abort_wait);
  if (const auto drains = router->boolean("drain_on_abort")) into.drain_on_abort = *drains;
  router->finish();
}

void read_endpoint_extension(MapReader& document, Endpoint& into) {
  std::optional<MapReader> router = document.map("router");
  if (!router) return;
  for (std::string hostname : router->texts("hostnames")) {
    std::transform(hostname.begin(), hostname.end(), hostname.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    if (hostname.empty() || hostname.size() > 253 || hostname.find_first_of(" /:@") != std::string::npos) {
      router->mistake("hostnames", "`" + hostname + "` is not a host name (without port)");
    }
    into.hostnames.push_back(std::move(hostname));
  }
  if (std::optional<MapReader> keys = router->map("keys")) {
    if (const auto file = keys->text("primary_file")) into.primary_key_file = absolute_path(into.file, *file);
    if (const auto file = keys->text("secondary_file")) into.secondary_key_file = absolute_path(into.file, *file);
    keys->finish();
  }
  if (const auto profile = router->word("status_profile", {"kubernetes", "managed"})) {
    into.status_profile = *profile == 1 ? StatusProfile::kManaged : StatusProfile::kKubernetes;
  }
  if (const auto forward = router->boolean("forward_authorization")) into.forward_authorization = *forward;
  router->finish();
}

void check_sum(MapReader& document, const std::map<std::string, int>& traffic) {
  int sum = 0;
  for (const auto& [name, percent] : traffic) sum += percent;
  if (sum != 0 && sum != 100)
    document.mistake("traffic", "the percentages sum to " + std::to_string(sum) + "; 0 or 100 is expected");
}

}  // namespace

std::string absolute_path(const std::string& file, const std::string& path) {
  return (std::filesystem::path(file).parent_path() / path).lexically_normal().string();
}

bool is_deployment(const MapReader& document) { return document.has("endpoint_name"); }

Endpoint read_endpoint(MapReader document) {
  Endpoint endpoint;
  endpoint.file = document.file();
  endpoint.line = document.line();
  endpoint.name = read_name(document, "name");
  if (const auto mode = document.word("auth_mode", {"key", "aml_token", "aad_token", "AMLToken", "AADToken"})) {
    endpoint.auth_mode = *mode == 0 ? AuthMode::kKey : *mode % 2 == 1 ? AuthMode::kAmlToken : AuthMode::kAadToken;
  }
  endpoint.traffic = document.percents("traffic");
  check_sum(document, endpoint.traffic);
  endpoint.mirror_traffic = document.percents("mirror_traffic");
  if (endpoint.mirror_traffic.size() > 1) document.mistake("mirror_traffic", "one deployment at most");
  for (const auto& [name, percent] : endpoint.mirror_traffic) {
    if (percent > 50) document.mistake("mirror_traffic", "at most 50 percent");
  }
  document.text_map("tags");
  document.ignore({"$schema", "description", "properties", "compute", "identity", "public_network_access", "kind", "type",
                   "location", "scoring_uri", "openapi_uri", "provisioning_state"},
                  endpoint.ignored_keys);
  read_endpoint_extension(document, endpoint);
  document.finish();
  return endpoint;
}

Deployment read_deployment(MapReader document) {
  Deployment deployment;
  deployment.file = document.file();
  deployment.line = document.line();
  deployment.name = read_name(document, "name");
  deployment.endpoint_name = read_name(document, "endpoint_name");
  const std::size_t together = deployment.name.size() + deployment.endpoint_name.size();
  if (together > 62) document.mistake("name", "the names of endpoint and deployment have at most 62 characters together");
  document.word("type", {"kubernetes", "managed"});
  deployment.tags = document.text_map("tags");
  read_environment(document, deployment);
  read_request_settings(document, deployment);
  read_probe(document, "readiness_probe", deployment.readiness_probe);
  Probe unused;
  read_probe(document, "liveness_probe", unused);
  read_probe(document, "startup_probe", unused);
  document.integer("instance_count", 0, 100000);
  document.boolean("app_insights_enabled");
  check_scale_settings(document, deployment.ignored_keys);
  check_resources(document, deployment.ignored_keys);
  document.ignore({"$schema", "description", "properties", "model", "code_configuration", "environment_variables",
                   "instance_type", "model_mount_path", "data_collector", "egress_public_network_access",
                   "private_network_connection", "provisioning_state", "package_model"},
                  deployment.ignored_keys);
  read_deployment_extension(document, deployment);
  document.finish();
  return deployment;
}

}  // namespace router::config
