#include "config/wanted_log_format.h"

#include <absl/strings/match.h>

#include "config/yaml_document.h"

namespace router::config {
LogFormat wanted_log_format(const std::string& router_yaml) {
  Findings nobody_reads_them;
  const YamlFile file = read_yaml(router_yaml, nobody_reads_them);
  if (file.documents.empty()) return LogFormat::kText;
  const YamlValue::Member* log = file.documents.front()->find("log");
  const YamlValue::Member* format = log != nullptr ? log->value->find("format") : nullptr;
  const bool is_json = format != nullptr && absl::EqualsIgnoreCase(format->value->scalar, "json");
  return is_json ? LogFormat::kJson : LogFormat::kText;
}

}  // namespace router::config
