#include "config/router_yaml.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>

#include "config/addresses.h"
#include "config/endpoint_files.h"
#include "config/file_text.h"
#include "config/scale.h"

namespace router::config {
namespace {

constexpr Range kTimeoutMs{1, kDayMs, "milliseconds"};
constexpr Range kDelayMs{0, kDayMs, "milliseconds"};

void read_certificate(MapReader& map, TlsOptions& into) {
  Certificate certificate;
  certificate.certificate_location = map.location("certificate_file");
  certificate.key_location = map.location("key_file");
  certificate.password_location = map.location("password_file");
  if (const auto folder = map.path("directory")) {  // such as a mounted Kubernetes Secret
    certificate.certificate_location = certificate.key_location = map.location("directory");
    certificate.certificate_file = *folder + "/cert.pem";
    certificate.key_file = *folder + "/key.pem";
    for (const char* key : {"certificate_file", "key_file"}) {
      if (map.has(key)) map.mistake(key, "cannot stand beside directory, which names both files");
    }
  }
  map.read_path("certificate_file", certificate.certificate_file);
  map.read_path("key_file", certificate.key_file);
  map.read_path("password_file", certificate.password_file);
  if (!map.has("directory")) {
    for (const char* key : {"certificate_file", "key_file"}) {
      if (!map.has(key)) map.mistake(key, "is missing; certificate_file and key_file, or directory, are expected");
    }
  }
  map.finish();
  into.certificates.push_back(std::move(certificate));
}

TlsOptions read_tls(MapReader& map) {
  TlsOptions tls;
  for (MapReader& each : map.some_maps("certificates", "at least one certificate is expected")) read_certificate(each, tls);
  if (const auto version = map.word("minimum_version", {"1.2", "1.3"})) tls.minimum_version = *version == 1 ? "1.3" : "1.2";
  for (const MapReader::Item& file : map.texts("ticket_key_files")) {
    tls.ticket_key_files.push_back(absolute_path(map.file(), file.text));
    tls.ticket_key_locations.push_back(file.location);
  }
  map.finish();
  return tls;
}

Listener read_listener(MapReader& map) {
  Listener listener;
  listener.location = map.location();
  if (const auto address = map.text("address")) {
    listener.address = *address;
    if (!is_ip_address(*address)) map.mistake("address", shown(*address) + " is not an IP address, such as 0.0.0.0 or ::");
  }
  if (std::optional<MapReader> tls = map.map("tls")) listener.tls = read_tls(*tls);
  if (listener.tls) listener.port = 8443;
  map.read("port", {0, 65535}, listener.port);
  map.read("proxy_protocol", listener.proxy_protocol);
  map.finish();
  return listener;
}

void read_listeners(MapReader& document, Process& into) {
  std::set<std::pair<std::string, std::uint16_t>> taken;
  for (MapReader& each : document.some_maps("listeners", "at least one listener is expected")) {
    into.listeners.push_back(read_listener(each));
    const Listener& listener = into.listeners.back();
    if (listener.port == 0 || taken.emplace(listener.address, listener.port).second) continue;
    each.mistake("port", "another listener has this address and port");
  }
}

void read_limits(MapReader& document, Limits& into) {
  std::optional<MapReader> map = document.map("limits");
  if (!map) return;
  map->read("max_connections", {1, 10'000'000}, into.max_connections);
  map->read("max_connections_per_client", {0, 10'000'000}, into.max_connections_per_client);
  map->read("max_handshakes", {1, 10'000'000}, into.max_handshakes);
  map->read("max_header_bytes", {1024, 1024 * 1024, "bytes"}, into.max_header_bytes);
  map->read("max_header_fields", {16, 1024}, into.max_header_fields);
  map->read("requests_per_connection", {1, 1'000'000'000}, into.requests_per_connection);
  map->read("header_timeout_ms", kTimeoutMs, into.header_timeout);
  map->read("keep_alive_timeout_ms", kTimeoutMs, into.keep_alive_timeout);
  map->read("body_timeout_ms", kTimeoutMs, into.body_timeout);
  map->read("send_timeout_ms", kTimeoutMs, into.send_timeout);
  map->read("min_body_rate", {0, 1'000'000'000, "bytes per second"}, into.min_body_rate);
  map->read("min_send_rate", {0, 1'000'000'000, "bytes per second"}, into.min_send_rate);
  map->read("max_held_bytes", {0, 1'000'000'000'000, "bytes"}, into.max_held_bytes);
  map->finish();
}

void read_trusted_proxies(MapReader& document, Process& into) {
  for (const MapReader::Item& item : document.texts("trusted_proxies")) {
    if (!is_network(item.text)) {
      document.findings().mistake(item.location,
                                  shown(item.text) + " is neither an IP address nor a network such as 10.0.0.0/8");
    }
    into.trusted_proxies.push_back(item.text);
  }
  const bool nobody = into.trusted_proxies.empty();
  const auto reads_it = [](const Listener& listener) { return listener.proxy_protocol; };
  if (nobody && std::any_of(into.listeners.begin(), into.listeners.end(), reads_it)) {
    document.warning("listeners", "proxy_protocol is on, but there are no trusted_proxies to take it from");
  }
}

/// A pseudonym in Via (RFC 9110, section 7.6.3) is a token.
bool is_pseudonym(std::string_view text) {
  constexpr std::size_t kMax = 64;  // every request carries it
  const auto is_allowed = [](char c) {
    const bool alphanumeric = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    return alphanumeric || std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
  };
  return !text.empty() && text.size() <= kMax && std::all_of(text.begin(), text.end(), is_allowed);
}

void read_via(MapReader& document, Process& into) {
  document.read("via", into.via);
  const std::optional<std::string> name = document.text("via_name");
  if (!name) return;
  into.via_name = *name;
  if (!is_pseudonym(*name)) {
    document.mistake("via_name",
                     shown(*name) + " is no name for Via: 1 to 64 letters, digits and !#$%&'*+-.^_`|~ are expected");
  }
}

/// Reads an address for operators: host:port, or unix:/path made absolute. Anything else is a mistake. Sets `local` to whether
/// only this machine can reach the address.
std::optional<std::string> read_address(MapReader& map, bool& local) {
  std::optional<std::string> text = map.text("address");
  if (!text) return std::nullopt;
  if (text->starts_with("unix:") && text->size() > 5) {
    local = true;
    return "unix:" + absolute_path(map.file(), text->substr(5));
  }
  const std::optional<HostAndPort> parsed = parse_host_and_port(*text);
  if (!parsed || !parsed->port) {
    map.mistake("address", shown(*text) + " is not host:port, [v6]:port or unix:/path");
    return std::nullopt;
  }
  local = is_loopback(parsed->host);
  return text;
}

void read_operators(MapReader& document, Process& into) {
  bool local = true;
  into.locations.observe_address = document.location("observe");
  into.locations.admin_address = document.location("admin");
  if (std::optional<MapReader> observe = document.map("observe")) {
    into.locations.observe_address = observe->location("address");
    into.observe_address = read_address(*observe, local).value_or(into.observe_address);
    observe->finish();
  }
  std::optional<MapReader> admin = document.map("admin");
  if (!admin) return;
  local = true;
  into.locations.admin_address = admin->location("address");
  into.admin_address = read_address(*admin, local).value_or(into.admin_address);
  admin->read("unsafe", into.admin_unsafe);
  if (!local && !into.admin_unsafe) {
    admin->mistake(
        "address",
        "any client that reaches this address could drain the router; a loopback address or unix:/path is expected, or "
        "unsafe: true beside it");
  }
  admin->finish();
}

void read_logs(MapReader& document, Process& into) {
  into.locations.access_log = document.location("access_log");
  into.locations.log_file = document.location("log");
  if (std::optional<MapReader> log = document.map("log")) {
    into.locations.log_file = log->location("file");
    log->read_path("file", into.log_file);
    constexpr LogLevel kLevels[] = {LogLevel::kDebug, LogLevel::kInfo, LogLevel::kWarning, LogLevel::kWarning,
                                    LogLevel::kError};
    // nginx accepts only `warn`, Envoy accepts both.
    if (const auto level = log->word("level", {"debug", "info", "warning", "warn", "error"})) into.log_level = kLevels[*level];
    const auto format = log->word("format", {"text", "json"});
    if (format) into.log_format = static_cast<LogFormat>(*format);
    log->finish();
  }
  document.read("access_log_client_ip", into.access_log_client_ip);
  const std::optional<std::string> access_log = document.text("access_log");
  if (!access_log || access_log->empty()) return;
  into.access_log = *access_log == "stdout" ? *access_log : absolute_path(document.file(), *access_log);
}

void read_endpoint_globs(MapReader& document, Process& into, std::vector<Location>* locations) {
  const std::size_t mistakes_before = document.findings().count();
  for (const MapReader::Item& item : document.texts("endpoints")) {
    into.endpoint_globs.push_back(absolute_pattern(document.file(), item.text));
    if (locations != nullptr) locations->push_back(item.location);
  }
  const bool may_be_missing = into.kubernetes && !document.has("endpoints");
  if (into.endpoint_globs.empty() && !may_be_missing && document.findings().count() == mistakes_before) {
    document.mistake("endpoints",
                     "at least one file is expected, such as endpoints/*.yml; with kubernetes, the key may be left out");
  }
}

/// Parses decimal seconds. Returns nullopt unless the text is a number from kShortest to kLongest.
std::optional<std::chrono::nanoseconds> parse_seconds(const std::string& text) {
  constexpr double kShortest = 1e-6;
  constexpr double kLongest = 86'400;
  double number = 0;
  const char* end = text.data() + text.size();
  const std::from_chars_result parsed = std::from_chars(text.data(), end, number);
  if (parsed.ec != std::errc() || parsed.ptr != end || !(number >= kShortest && number <= kLongest)) return std::nullopt;
  return std::chrono::nanoseconds(std::llround(number * 1e9));
}

void read_metrics(MapReader& document, Process& into) {
  constexpr std::size_t kBucketsMax = 40;  // each adds a time series to each histogram of each deployment
  into.locations.buckets = document.location("metrics");
  std::optional<MapReader> metrics = document.map("metrics");
  if (!metrics) return;
  into.locations.buckets = metrics->location("buckets");
  for (const MapReader::Item& item : metrics->texts("buckets")) {
    const std::optional<std::chrono::nanoseconds> bound = parse_seconds(item.text);
    if (!bound) {
      document.findings().mistake(item.location, shown(item.text) + " is not a number of seconds from 0.000001 to 86400");
    } else if (!into.buckets.empty() && *bound <= into.buckets.back()) {
      document.findings().mistake(item.location, shown(item.text) + " is not more than the one before it; buckets ascend");
    } else {
      into.buckets.push_back(*bound);
    }
  }
  metrics->read("per_replica", into.per_replica);
  metrics->read("per_replica_max", {1, 100'000, "replicas"}, into.per_replica_max);
  if (into.buckets.size() > kBucketsMax) metrics->mistake("buckets", "are too many; at most 40 are expected");
  metrics->finish();
}

/// A router without a fleet sees only its own share of the requests, and would scale down what other routers need.
void read_autoscaling(MapReader& document, Process& into) {
  into.autoscaler = read_autoscaler(document, "autoscaler").value_or(into.autoscaler);
  if (into.autoscaler != AutoscalerMode::kAct) return;
  if (!into.kubernetes) {
    document.warning("autoscaler",
                     "act: nothing is scaled without the section kubernetes; what files list, the router does not scale");
  } else if (!into.fleet) {
    document.warning("autoscaler",
                     "act: nothing is written without the section fleet, one router in it is enough (the resources get "
                     "Autoscaled=False, FleetRequired)");
  }
}

}  // namespace

Process read_process(MapReader document, std::vector<Location>* glob_locations) {
  Process process;
  document.describes(Described::kRouterYaml);
  read_listeners(document, process);
  read_limits(document, process.limits);
  document.read("threads", {0, 1024}, process.threads);
  process.locations.threads = document.location("threads");
  read_trusted_proxies(document, process);
  read_via(document, process);
  read_logs(document, process);
  read_operators(document, process);
  read_metrics(document, process);
  document.read("drain_delay_ms", kDelayMs, process.drain_delay);
  document.read("drain_grace_ms", kDelayMs, process.drain_grace);
  process.kubernetes = read_kubernetes(document);
  process.fleet = read_fleet(document, process.kubernetes.has_value());
  read_autoscaling(document, process);
  read_endpoint_globs(document, process, glob_locations);
  document.finish();
  return process;
}

}  // namespace router::config
