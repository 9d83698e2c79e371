#include "router/serving/process_log.h"

#include <string>

namespace router::serving {
namespace {

log::Level log_level(config::LogLevel level) {
  switch (level) {
    case config::LogLevel::kDebug: return log::Level::kDebug;
    case config::LogLevel::kInfo: return log::Level::kInfo;
    case config::LogLevel::kWarning: return log::Level::kWarning;
    case config::LogLevel::kError: return log::Level::kError;
  }
  return log::Level::kInfo;
}

}  // namespace

log::Format log_format(config::LogFormat format) {
  return format == config::LogFormat::kJson ? log::Format::kJson : log::Format::kText;
}

std::optional<log::Target> open_log(const config::Process& process, config::Findings& findings) {
  log::Target target;
  const std::string error = log::open(process.log_file, log_level(process.log_level), log_format(process.log_format), target);
  if (error.empty()) return target;
  findings.mistake(process.locations.log_file, error);
  return std::nullopt;
}

}  // namespace router::serving
