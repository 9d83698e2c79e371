#include "config/wanted_log_format.h"

#include <absl/strings/match.h>

#include "config/yaml_document.h"

namespace router::config {
namespace {

const YamlValue* member(const YamlValue* map, const char* key) {
  if (map == nullptr || map->kind != YamlValue::Kind::kMap) return nullptr;
  for (const YamlValue::Member& each : map->members) {
    if (each.key == key) return each.value.get();
  }
  return nullptr;
}

}  // namespace

LogFormat wanted_log_format(const std::string& router_yaml) {
  Findings nobody_reads_them;
  const YamlFile file = read_yaml(router_yaml, nobody_reads_them);
  if (file.documents.empty()) return LogFormat::kText;
  const YamlValue* format = member(member(file.documents.front().get(), "log"), "format");
  const bool is_json = format != nullptr && absl::EqualsIgnoreCase(format->scalar, "json");
  return is_json ? LogFormat::kJson : LogFormat::kText;
}

}  // namespace router::config
