#pragma once

#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>

namespace spdlog {
class logger;
}

/// The process log: what an operator reads when something is wrong, as lines on standard error or in a file. Not for the data
/// path: exchanges are told by the access log and the metrics. Any thread. No secrets, no bodies. A line that cannot be written
/// is lost; nothing here throws but `open`.
namespace router::log {

enum class Level { kDebug, kInfo, kWarning, kError };
/// kText: `TIME LEVEL MESSAGE`; of a message's lines the later ones are indented, other control characters are `?`. kJson:
/// `{"time":…,"level":…,"message":…}`, always one line, and valid whatever bytes the message has.
enum class Format { kText, kJson };

/// A log that is open and may be taken into use.
struct Target {
  std::string path;  // empty: standard error
  Level level = Level::kInfo;
  Format format = Format::kText;
  std::shared_ptr<spdlog::logger> logger;
};
/// Opens `path` (and makes it, if it is not there) without using it yet. Fails with a text that says why; `into` stays.
std::string open(const std::string& path, Level level, Format format, Target& into);
/// From now on everything goes there. Without a logger it is opened with the first line.
void use(Target target);
/// Opens the same path again, for log rotation (SIGHUP).
void reopen() noexcept;

void debug(std::string_view message) noexcept;
void info(std::string_view message) noexcept;
void warning(std::string_view message) noexcept;
void error(std::string_view message) noexcept;
/// A line of several pieces, where nothing may throw.
void write(Level level, std::initializer_list<std::string_view> pieces) noexcept;

}  // namespace router::log
