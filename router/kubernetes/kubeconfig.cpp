#include "router/kubernetes/kubeconfig.h"

#include <absl/strings/str_cat.h>
#include <arpa/inet.h>
#include <openssl/evp.h>

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

#include "config/file_text.h"
#include "config/yaml_document.h"
#include "router/base/assert.h"
#include "router/base/host_port.h"
#include "router/base/text.h"

namespace router::kubernetes {
namespace {

using config::YamlValue;

/// A null value counts as missing.
const YamlValue::Member* find(const YamlValue& map, std::string_view key) {
  const YamlValue::Member* found = map.find(key);
  return found != nullptr && found->value->kind != YamlValue::Kind::kNull ? found : nullptr;
}

/// Accepts line ends inside the text. Returns nothing if it is not base64.
std::optional<std::string> from_base64(std::string_view text) {
  std::string digits;
  std::copy_if(text.begin(), text.end(), std::back_inserter(digits), [](char c) { return c > ' '; });
  if (digits.empty() || digits.size() % 4 != 0) return std::nullopt;
  std::string bytes(digits.size() / 4 * 3, '\0');
  const int size = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                                   reinterpret_cast<const unsigned char*>(digits.data()), static_cast<int>(digits.size()));
  if (size < 0) return std::nullopt;
  const std::size_t padding = digits.ends_with("==") ? 2 : digits.ends_with('=') ? 1 : 0;
  bytes.resize(static_cast<std::size_t>(size) - padding);
  return bytes;
}

bool is_loopback(const std::string& host) {
  in_addr address{};
  if (::inet_pton(AF_INET, host.c_str(), &address) == 1) return (ntohl(address.s_addr) >> 24) == 127;
  return host == "::1" || host == "localhost";
}

/// One map of the file, with its path for messages. A value of the wrong type is recorded as a mistake when it is read.
class Section {
 public:
  Section(const std::string& file, const YamlValue& map, std::string path, config::Findings& findings)
      : file_(file), map_(map), path_(std::move(path)), findings_(findings) {}

  void mistake(std::string_view key, int line, const std::string& what) const {
    findings_.mistake({file_, line, absl::StrCat(path_, path_.empty() ? "" : ".", to_absl(key))}, what);
  }
  void mistake(const std::string& what) const { findings_.mistake({file_, map_.line, path_}, what); }

  bool has(std::string_view key) const { return find(map_, key) != nullptr; }
  int line(std::string_view key) const {
    const YamlValue::Member* member = find(map_, key);
    return member != nullptr ? member->line : map_.line;
  }

  /// Empty if it is missing.
  std::string text(std::string_view key) const {
    const YamlValue::Member* member = find(map_, key);
    if (member == nullptr) return "";
    if (member->value->kind == YamlValue::Kind::kScalar) return member->value->scalar;
    mistake(key, member->line, "a text is expected");
    return "";
  }
  bool flag(std::string_view key) const {
    const std::string value = text(key);
    if (!value.empty() && value != "true" && value != "false") mistake(key, line(key), "true or false is expected");
    return value == "true";
  }
  /// The file that `key` names, or the base64 content of `key`-data. If both are given, `key`-data is used.
  Material material(const std::string& key) const {
    const std::string data_key = key + "-data";
    if (const std::string data = text(data_key); !data.empty()) {
      std::optional<std::string> bytes = from_base64(data);
      if (!bytes) mistake(data_key, line(data_key), "is not base64");
      return {"", bytes ? std::move(*bytes) : "", absl::StrCat(file_, ": ", path_, ".", data_key)};
    }
    return in_file(key);
  }
  Material in_file(std::string_view key) const {
    const std::string named = text(key);
    if (named.empty()) return {};
    const std::string file = config::absolute_path(file_, named);
    return {file, "", file};
  }
  void refuse(std::string_view key, const std::string& what) const {
    if (has(key)) mistake(key, line(key), what);
  }
  std::optional<Section> section(std::string_view key) const {
    const YamlValue::Member* member = find(map_, key);
    const bool is_map = member != nullptr && member->value->kind == YamlValue::Kind::kMap;
    if (is_map) return Section(file_, *member->value, absl::StrCat(path_, path_.empty() ? "" : ".", to_absl(key)), findings_);
    mistake(key, line(key), "a map is expected");
    return std::nullopt;
  }
  /// The map under `key` in the item of `list` whose `name` is `name`.
  std::optional<Section> named(std::string_view list, const std::string& name, std::string_view key) const {
    const YamlValue::Member* member = find(map_, list);
    const std::vector<std::shared_ptr<const YamlValue>> none;
    const auto& items = member != nullptr ? member->value->items : none;
    for (std::size_t i = 0; i < items.size(); ++i) {
      const Section item(file_, *items[i], absl::StrCat(to_absl(list), "[", i, "]"), findings_);
      if (item.has("name") && item.text("name") == name) return item.section(key);
    }
    mistake(list, line(list), "holds nothing with the name " + config::shown(name));
    return std::nullopt;
  }

 private:
  const std::string& file_;
  const YamlValue& map_;
  const std::string path_;
  config::Findings& findings_;
};

constexpr const char* kUrlExpected = "https://host, with a port and a path if need be, is expected";

/// `server: https://host:port/path`.
void take_server(const Section& section, ClusterConfig& into) {
  const std::string url = section.text("server");
  const auto refuse = [&](const std::string& what) { section.mistake("server", section.line("server"), what); };
  std::string_view rest = url;
  into.uses_tls = !starts_with_ignoring_case(rest, "http://");
  if (into.uses_tls && !starts_with_ignoring_case(rest, "https://")) return refuse(kUrlExpected);
  rest.remove_prefix(into.uses_tls ? 8 : 7);
  const bool is_visible = std::all_of(rest.begin(), rest.end(), [](char c) { return c > ' ' && c < 0x7f; });
  ROUTER_PLANT(is_visible && rest.find('@') != rest.npos);
  if (!is_visible || rest.find_first_of("?#@") != rest.npos) return refuse(kUrlExpected);
  const std::size_t slash = std::min(rest.find('/'), rest.size());
  into.base_path = rest.substr(slash);
  while (into.base_path.ends_with('/')) into.base_path.pop_back();
  const std::optional<HostPort> authority = split_host_port(rest.substr(0, slash));
  if (!authority || authority->host.empty()) return refuse(kUrlExpected);
  into.port = into.uses_tls ? 443 : 80;
  if (authority->port) into.port = port_number(*authority->port).value_or(0);
  if (into.port == 0) return refuse(kUrlExpected);
  into.host = authority->host;
  if (!into.uses_tls && !is_loopback(into.host)) {
    refuse("plaintext is for a proxy on this machine only (127.0.0.1, ::1, localhost); https is expected");
  }
}

void take_cluster(const Section& section, ClusterConfig& into) {
  take_server(section, into);
  into.server_name = section.has("tls-server-name") ? section.text("tls-server-name") : into.host;
  into.verify = !section.flag("insecure-skip-tls-verify");
  into.authorities = section.material("certificate-authority");
  if (!into.verify && into.authorities.is_given()) {
    section.mistake("insecure-skip-tls-verify", section.line("insecure-skip-tls-verify"),
                    "an authority is named as well; one of both is expected");
  }
  section.refuse("proxy-url", "proxies are not supported");
}

void take_user(const Section& section, ClusterConfig& into) {
  section.refuse("exec", "plug-ins that make credentials are not supported: give a token, a tokenFile or a client certificate");
  section.refuse("auth-provider",
                 "plug-ins that make credentials are not supported: give a token, a tokenFile or a client certificate");
  for (const char* key : {"username", "password"}) section.refuse(key, "API servers take no passwords any more");
  for (const char* key : {"as", "as-uid", "as-groups", "as-user-extra"}) section.refuse(key, "impersonation is not supported");
  into.token = section.in_file("tokenFile");
  if (!into.token.is_given() && section.has("token")) {
    into.token.text = section.text("token");
    into.token.name = "token";
  }
  into.certificate = section.material("client-certificate");
  into.key = section.material("client-key");
  if (into.certificate.is_given() != into.key.is_given()) {
    section.mistake("client-certificate and client-key belong together; one of them is missing");
  }
}

void take_context(const Section& root, ClusterConfig& into) {
  const std::string current = root.text("current-context");
  if (current.empty()) {
    return root.mistake("current-context", root.line("current-context"), "the name of a context is expected");
  }
  const std::optional<Section> context = root.named("contexts", current, "context");
  if (!context) return;
  into.namespace_name = context->text("namespace");
  if (const auto cluster = root.named("clusters", context->text("cluster"), "cluster")) take_cluster(*cluster, into);
  if (!context->has("user")) return;  // some servers need no credentials, such as `kubectl proxy`
  if (const auto user = root.named("users", context->text("user"), "user")) take_user(*user, into);
}

}  // namespace

absl::StatusOr<ClusterConfig> read_kubeconfig(const std::string& file) {
  config::Findings findings;
  const config::YamlFile yaml = config::read_yaml(file, findings);
  ClusterConfig cluster;
  const bool is_map = yaml.documents.size() == 1 && yaml.documents.front()->kind == YamlValue::Kind::kMap;
  if (is_map) {
    take_context(Section(file, *yaml.documents.front(), "", findings), cluster);
  } else if (!findings.has_mistakes()) {
    findings.mistake({file, 0, ""}, "one map is expected, as kubectl writes it");
  }
  if (findings.has_mistakes()) return absl::InvalidArgumentError(findings.mistakes());
  return cluster;
}

}  // namespace router::kubernetes
