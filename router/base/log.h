#pragma once

#include <string>
#include <string_view>

/// The process log: what an operator reads when something is wrong, as lines on standard error or in a file. Not for the data
/// path: exchanges are told by the access log and the metrics. Any thread. No secrets, no bodies.
namespace router::log {

enum class Level { kDebug, kInfo, kWarning, kError };

/// Sends the log to `path` (empty: standard error). Fails with a text that says why; the old sink stays.
std::string open(const std::string& path, Level level);
/// Opens the same path again, for log rotation (SIGHUP).
void reopen();

void debug(std::string_view message);
void info(std::string_view message);
void warning(std::string_view message);
void error(std::string_view message);

}  // namespace router::log
