#include <algorithm>
#include <charconv>
#include <set>

#include "config/addresses.h"
#include "config/azureml.h"
#include "config/scale.h"

namespace router::config {
namespace {

constexpr Range kRouteTimesMs{1, kDayMs, "milliseconds"};
constexpr Range kWaitsMs{0, kDayMs, "milliseconds"};
constexpr std::int64_t kDaySeconds = kDayMs / 1000;

void read_route(MapReader& inference, const std::string& key, HttpRoute& into) {
  std::optional<MapReader> route = inference.map(key);
  if (!route) return;
  route->read("port", {1, 65535}, into.port);
  if (const auto path = route->text("path")) {
    into.path = *path;
    const auto is_plain = [](char c) { return c > ' ' && c < 0x7f && c != '?' && c != '#'; };
    if (!path->starts_with('/') || !std::all_of(path->begin(), path->end(), is_plain)) {
      route->mistake("path", shown(*path) + " is not a path: it begins with / and has no white space, no ? and no #");
    }
  }
  route->finish();
}

void read_inference_config(MapReader& environment, Deployment& into) {
  std::optional<MapReader> inference = environment.map("inference_config");
  if (!inference) return;
  read_route(*inference, "scoring_route", into.scoring_route);
  // The default port of the probes is the scoring port.
  into.liveness_route.port = into.readiness_route.port = into.scoring_route.port;
  read_route(*inference, "liveness_route", into.liveness_route);
  read_route(*inference, "readiness_route", into.readiness_route);
  inference->finish();
}

void read_environment(MapReader& document, Deployment& into) {
  if (document.is_scalar("environment")) {  // azureml:name:version
    document.ignore({"environment"}, into.ignored_keys);
    return;
  }
  std::optional<MapReader> environment = document.map("environment");
  if (!environment) return;
  environment->ignore({"$schema", "id", "name", "version", "latest_version", "description", "tags", "properties", "image",
                       "conda_file", "build", "os_type", "path", "datastore", "creation_context", "auto_delete_setting"},
                      into.ignored_keys);
  read_inference_config(*environment, into);
  environment->finish();
}

void read_probe(MapReader& document, const std::string& key, Probe& into) {
  std::optional<MapReader> probe = document.map(key);
  if (!probe) return;
  probe->read("initial_delay", {0, kDaySeconds, "seconds"}, into.initial_delay);
  probe->read("period", {1, kDaySeconds, "seconds"}, into.period);
  probe->read("timeout", {1, kDaySeconds, "seconds"}, into.timeout);
  probe->read("success_threshold", {1, 1000}, into.success_threshold);
  probe->read("failure_threshold", {1, 1'000'000}, into.failure_threshold);
  probe->finish();
}

void read_probes(MapReader& document, Deployment& into) {
  read_probe(document, "readiness_probe", into.readiness_probe);
  read_probe(document, "liveness_probe", into.liveness_probe);
  Probe startup;
  read_probe(document, "startup_probe", startup);
  if (document.has("startup_probe")) into.startup_probe = startup;
  document.ignore({"liveness_probe", "startup_probe"}, into.ignored_keys);
}

void read_request_settings(MapReader& document, Deployment& into) {
  std::optional<MapReader> settings = document.map("request_settings");
  if (!settings) return;
  settings->read("request_timeout_ms", kRouteTimesMs, into.request_timeout);
  settings->read("max_queue_wait_ms", kWaitsMs, into.max_queue_wait);
  settings->read("max_concurrent_requests_per_instance", {0, 1'000'000}, into.max_concurrent_requests_per_instance);
  settings->finish();
}

void check_resources(MapReader& document) {
  std::optional<MapReader> resources = document.map("resources");
  if (!resources) return;
  for (const char* kind : {"requests", "limits"}) {
    std::optional<MapReader> amounts = resources->map(kind);
    if (!amounts) continue;
    for (const char* what : {"cpu", "memory", "nvidia.com/gpu", "gpu"}) amounts->text(what);  // "0.1", 1, 0.5, 200Mi
    amounts->finish();
  }
  resources->finish();
}

/// In a file, no setting changes the number of replicas. In a resource, `instance_count` is for `convert` alone: the number of
/// pods of a deployment that is not scaled is the user's.
void read_instances(MapReader& document, Deployment& into) {
  if (const auto count = document.integer("instance_count", {0, 100'000})) into.instance_count = static_cast<int>(*count);
  into.scale_settings = read_scale_settings(document);
  document.ignore({"instance_count"}, into.ignored_keys);
  if (!document.is_resource()) document.ignore({"scale_settings"}, into.ignored_keys);
}

/// Keys for features that the router does not have. Their values are checked for mistakes where possible; otherwise they have
/// no effect.
void check_unused(MapReader& document, std::vector<std::string>& ignored) {
  document.word("type", {"kubernetes", "managed"});
  if (std::optional<MapReader> code = document.map("code_configuration")) {
    code->ignore({"code", "scoring_script"});
    code->finish();
  }
  if (std::optional<MapReader> collector = document.map("data_collector")) {
    collector->ignore(
        {"collections", "rolling_rate", "sampling_rate", "request_logging", "enabled", "destination", "sampling_strategy"});
    collector->finish();
  }
  document.boolean("app_insights_enabled");
  document.word("egress_public_network_access", {"enabled", "disabled"});
  check_resources(document);
  document.ignore({"$schema",
                   "id",
                   "type",
                   "description",
                   "properties",
                   "model",
                   "model_mount_path",
                   "code_configuration",
                   "environment_variables",
                   "app_insights_enabled",
                   "instance_type",
                   "resources",
                   "data_collector",
                   "egress_public_network_access",
                   "private_network_connection",
                   "provisioning_state",
                   "resourceGroup",
                   "creation_context",
                   "package_model",
                   "with_package"},
                  ignored);
}

/// A name may end with a dot: the resolver then appends no search domain.
std::optional<HostAndPort> parse_replica(std::string_view text) {
  const std::size_t dot = text.find(".:");
  const bool has_dot = dot != std::string_view::npos || text.ends_with('.');
  if (!has_dot) return parse_host_and_port(text);
  const std::string_view name = text.substr(0, dot != std::string_view::npos ? dot : text.size() - 1);
  std::optional<HostAndPort> parsed = parse_host_and_port(std::string(name).append(text.substr(name.size() + 1)));
  if (!parsed || is_ip_address(parsed->host)) return std::nullopt;
  parsed->host += '.';
  return parsed;
}

void read_replicas(MapReader& router, Deployment& into) {
  std::set<std::pair<std::string, std::uint16_t>> seen;
  for (const MapReader::Item& item : router.texts("replicas")) {
    const std::optional<HostAndPort> parsed = parse_replica(item.text);
    if (!parsed || parsed->port == 0) {
      router.findings().mistake(item.location, shown(item.text) +
                                                   " is not host:port, with a port from 1 to 65535 or none, and "
                                                   "an IPv6 address in brackets");
      continue;
    }
    const ReplicaAddress address{lower_case(parsed->host), parsed->port.value_or(0)};
    const std::uint16_t port = parsed->port.value_or(into.scoring_route.port);
    if (!seen.emplace(address.host, port).second)
      router.findings().mistake(item.location, shown(item.text) + " is given twice");
    into.replicas.push_back(address);
  }
}

void read_upstream_tls(MapReader& router, Deployment& into) {
  std::optional<MapReader> tls = router.map("tls");
  if (!tls) return;
  UpstreamTls& settings = into.tls.emplace();
  tls->read("verify", settings.verify);
  if (router.is_resource()) {
    tls->refuse("ca_file", "names a file of the router's own, which a resource may not; the system's authorities are used");
  } else {
    tls->read_path("ca_file", settings.ca_file);
    settings.ca_location = tls->location("ca_file");
  }
  if (const auto name = tls->text("server_name")) {
    settings.server_name = *name;
    if (settings.server_name.ends_with('.')) settings.server_name.pop_back();  // certificates hold names without that dot
    if (!is_host_name(settings.server_name)) tls->mistake("server_name", shown(*name) + " is not a host name");
  }
  if (!settings.verify) {
    tls->warning("verify", "false: any server at a replica's address is accepted as the replica; only for tests");
  }
  tls->finish();
}

/// Returns the name of a port, or its number without leading zeros.
std::optional<std::string> parse_service_port(const std::string& text) {
  if (!std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; })) {
    return is_dns_label(text) ? std::optional(text) : std::nullopt;
  }
  std::uint16_t number = 0;
  const std::from_chars_result parsed = std::from_chars(text.data(), text.data() + text.size(), number);
  return parsed.ec == std::errc() && number > 0 ? std::optional(std::to_string(number)) : std::nullopt;
}

void read_service(MapReader& router, DeploymentDocument& into) {
  into.service = router.location("service");
  std::optional<MapReader> service = router.map("service");
  if (!service) return;
  ServiceReference& reference = into.deployment.service;
  if (const auto name = service->text("name")) {
    reference.name = *name;
    if (!is_dns_label(*name)) service->mistake("name", shown(*name) + " is not the name of a Service");
  }
  if (const auto port = service->text("port")) {
    reference.port = parse_service_port(*port).value_or("");
    if (reference.port.empty()) {
      service->mistake("port", shown(*port) + " is neither the name of a port nor a number from 1 to 65535");
    }
  }
  service->finish();
}

void read_adoption(MapReader& router, Deployment& into) {
  router.read("adoptAzureMLPods", into.adopt_azureml_pods);
  if (into.adopt_azureml_pods && router.has("service")) {
    router.mistake("adoptAzureMLPods",
                   "cannot be true beside service: the replicas are either the pods that Azure ML has labelled, or those of a "
                   "Service; remove one of the two");
  }
}

void read_where_replicas_are(MapReader& router, DeploymentDocument& into) {
  if (router.is_resource()) {
    read_service(router, into);
    read_adoption(router, into.deployment);
    router.refuse("replicas",
                  "lists addresses in a file; in a resource, service names the Service whose pods are the replicas");
    router.refuse("resolve", "is for names that replicas lists in a file; in a resource, each pod of the Service is a replica");
  } else {
    read_replicas(router, into.deployment);
    constexpr Resolve kWays[] = {Resolve::kAll, Resolve::kFirst};
    if (const auto way = router.word("resolve", {"all", "first"})) into.deployment.resolve = kWays[*way];
    router.refuse("service", "names a Service for a Kubernetes resource; in a file, replicas lists addresses");
    router.refuse("adoptAzureMLPods", "is for a Kubernetes resource; in a file, replicas lists addresses");
  }
}

void read_extension(MapReader& document, DeploymentDocument& result) {
  std::optional<MapReader> router = document.map("router");
  if (!router) return;
  Deployment& into = result.deployment;
  read_where_replicas_are(*router, result);
  read_scaling(*router, into.scaling);
  read_upstream_tls(*router, into);
  if (const auto length = router->integer("max_queue_length", {0, 1'000'000, "requests"})) {
    into.max_queue_length = static_cast<std::size_t>(*length);
  }
  router->read("max_request_bytes", {1, 1ll << 50, "bytes"}, into.max_request_bytes);
  router->read("connect_timeout_ms", kRouteTimesMs, into.connect_timeout);
  router->read("stream_idle_timeout_ms", kRouteTimesMs, into.stream_idle_timeout);
  router->read("upload_timeout_ms", kRouteTimesMs, into.upload_timeout);
  router->read("abort_wait_ms", kWaitsMs, into.abort_wait);
  router->read("drain_on_abort", into.drain_on_abort);
  router->read("allow_encoded_slashes", into.allow_encoded_slashes);
  router->finish();
}

void read_names(MapReader& document, DeploymentDocument& into) {
  into.deployment.name = read_name(document, "name");
  into.deployment.endpoint_name = read_name(document, "endpoint_name");
  into.name = document.location("name");
  into.endpoint_name = document.location("endpoint_name");
  const std::size_t together = into.deployment.name.size() + into.deployment.endpoint_name.size();
  const bool each_is_good = into.deployment.name.size() <= 32 && into.deployment.endpoint_name.size() <= 32;
  if (each_is_good && together > 62) {
    document.mistake(
        "name", "the names of endpoint and deployment have " + std::to_string(together) + " characters together; 62 at most");
  }
}

}  // namespace

DeploymentDocument read_deployment(MapReader document) {
  document.describes(Described::kDeployment);
  DeploymentDocument into;
  Deployment& deployment = into.deployment;
  deployment.file = document.file();
  deployment.line = document.location().line;
  read_names(document, into);
  deployment.tags = document.text_map("tags");
  read_environment(document, deployment);
  read_request_settings(document, deployment);
  read_probes(document, deployment);
  read_instances(document, deployment);
  check_unused(document, deployment.ignored_keys);
  read_extension(document, into);
  document.finish();
  return into;
}

}  // namespace router::config
