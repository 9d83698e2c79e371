#include "config/router_yaml.h"

#include <arpa/inet.h>

#include <filesystem>

#include "config/azureml.h"

namespace router::config {
namespace {

constexpr std::int64_t kDayMs = 24ll * 60 * 60 * 1000;

/// A time in milliseconds, kept in seconds' type where less is of no use: rounded up.
void take_seconds(MapReader& map, const std::string& key, std::int64_t least, seconds& into) {
  if (const auto number = map.integer(key, least, kDayMs)) into = std::chrono::ceil<seconds>(milliseconds(*number));
}

bool is_address(const std::string& text) {
  unsigned char bytes[16];
  return ::inet_pton(AF_INET, text.c_str(), bytes) == 1 || ::inet_pton(AF_INET6, text.c_str(), bytes) == 1;
}

bool is_network(const std::string& text) {
  const std::size_t slash = text.find('/');
  if (!is_address(text.substr(0, slash))) return false;
  if (slash == std::string::npos) return true;
  const std::string bits = text.substr(slash + 1);
  const int most = text.find(':') == std::string::npos ? 32 : 128;
  return !bits.empty() && bits.size() <= 3 && bits.find_first_not_of("0123456789") == std::string::npos &&
         std::stoi(bits) <= most;
}

Certificate read_certificate(MapReader map) {
  Certificate certificate;
  if (const auto folder = map.text("directory")) {  // a mounted Kubernetes Secret
    certificate.certificate_file = absolute_path(map.file(), *folder + "/cert.pem");
    certificate.key_file = absolute_path(map.file(), *folder + "/key.pem");
  }
  if (const auto file = map.text("certificate_file")) certificate.certificate_file = absolute_path(map.file(), *file);
  if (const auto file = map.text("key_file")) certificate.key_file = absolute_path(map.file(), *file);
  if (const auto file = map.text("password_file")) certificate.password_file = absolute_path(map.file(), *file);
  if (certificate.certificate_file.empty() || certificate.key_file.empty()) {
    map.mistake("certificate_file", "certificate_file and key_file, or directory, are expected");
  }
  map.finish();
  return certificate;
}

TlsOptions read_tls(MapReader map) {
  TlsOptions tls;
  for (MapReader& each : map.maps("certificates")) tls.certificates.push_back(read_certificate(each));
  if (tls.certificates.empty()) map.mistake("certificates", "at least one certificate is expected");
  if (const auto version = map.word("minimum_version", {"1.2", "1.3"})) tls.minimum_version = *version == 1 ? "1.3" : "1.2";
  for (const std::string& file : map.texts("ticket_key_files")) tls.ticket_key_files.push_back(absolute_path(map.file(), file));
  map.finish();
  return tls;
}

Listener read_listener(MapReader map) {
  Listener listener;
  if (const auto address = map.text("address")) {
    listener.address = *address;
    if (!is_address(*address)) map.mistake("address", "an IP address is expected, for example 0.0.0.0 or ::");
  }
  if (std::optional<MapReader> tls = map.map("tls")) listener.tls = read_tls(*tls);
  if (listener.tls) listener.port = 8443;
  if (const auto port = map.integer("port", 0, 65535)) listener.port = static_cast<std::uint16_t>(*port);
  if (const auto on = map.boolean("proxy_protocol")) listener.proxy_protocol = *on;
  map.finish();
  return listener;
}

void read_limits(MapReader& document, Limits& into) {
  std::optional<MapReader> map = document.map("limits");
  if (!map) return;
  if (const auto number = map->integer("max_connections", 1, 10'000'000))
    into.max_connections = static_cast<std::size_t>(*number);
  if (const auto number = map->integer("max_header_bytes", 1024, 1024 * 1024))
    into.max_header_bytes = static_cast<std::size_t>(*number);
  if (const auto number = map->integer("requests_per_connection", 1, 1'000'000'000)) {
    into.requests_per_connection = static_cast<std::size_t>(*number);
  }
  take_seconds(*map, "header_timeout_ms", 1, into.header_timeout);
  take_seconds(*map, "keep_alive_timeout_ms", 1, into.keep_alive_timeout);
  take_seconds(*map, "body_timeout_ms", 1, into.body_timeout);
  take_seconds(*map, "send_timeout_ms", 1, into.send_timeout);
  map->finish();
}

void read_operators(MapReader& document, Process& into) {
  if (std::optional<MapReader> observe = document.map("observe")) {
    if (const auto address = observe->text("address")) into.observe_address = *address;
    observe->finish();
  }
  if (std::optional<MapReader> admin = document.map("admin")) {
    if (const auto address = admin->text("address")) into.admin_address = *address;
    if (const auto unsafe = admin->boolean("unsafe")) into.admin_unsafe = *unsafe;
    const bool local = into.admin_address.starts_with("unix:") || into.admin_address.starts_with("127.") ||
                       into.admin_address.starts_with("[::1]") || into.admin_address.starts_with("localhost:");
    if (!local && !into.admin_unsafe) {
      admin->mistake(
          "address",
          "anybody who reaches this address could drain the router; use a loopback address or unix:/path, or say unsafe: true");
    }
    admin->finish();
  }
}

void read_log(MapReader& document, Process& into) {
  if (std::optional<MapReader> log = document.map("log")) {
    if (const auto file = log->text("file")) into.log_file = absolute_path(document.file(), *file);
    if (const auto level = log->word("level", {"debug", "info", "warning", "error"}))
      into.log_level = static_cast<LogLevel>(*level);
    log->finish();
  }
  if (const auto path = document.text("access_log")) {
    into.access_log = *path == "stdout" || path->empty() ? *path : absolute_path(document.file(), *path);
  }
}

}  // namespace

Process read_process(MapReader document) {
  Process process;
  for (MapReader& each : document.maps("listeners")) process.listeners.push_back(read_listener(each));
  if (process.listeners.empty()) document.mistake("listeners", "at least one listener is expected");
  read_limits(document, process.limits);
  if (const auto number = document.integer("threads", 0, 1024)) process.threads = static_cast<std::size_t>(*number);
  process.trusted_proxies = document.texts("trusted_proxies");
  for (const std::string& network : process.trusted_proxies) {
    if (!is_network(network))
      document.mistake("trusted_proxies", "`" + network + "` is neither an address nor a network such as 10.0.0.0/8");
  }
  read_log(document, process);
  read_operators(document, process);
  take_seconds(document, "drain_delay_ms", 0, process.drain_delay);
  take_seconds(document, "drain_grace_ms", 0, process.drain_grace);
  for (const std::string& glob : document.texts("endpoints"))
    process.endpoint_globs.push_back(absolute_path(document.file(), glob));
  if (process.endpoint_globs.empty())
    document.mistake("endpoints", "a list of files is expected, for example [endpoints/*.yml]");
  document.finish();
  return process;
}

}  // namespace router::config
