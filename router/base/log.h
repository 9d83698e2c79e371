#pragma once

#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>

namespace spdlog {
class logger;
}

/// The process log, which an operator reads when something is wrong: lines on standard error or in a file. Exchanges do not
/// appear here, but in the access log and the metrics. Messages contain no secrets and no bodies. Any thread. A line that
/// cannot be written is lost. Only `open` throws.
namespace router::log {

enum class Level { kDebug, kInfo, kWarning, kError };
/// kText: `TIME LEVEL MESSAGE`. All lines of a message but the first are indented; other control characters become `?`. kJson:
/// `{"time":…,"level":…,"message":…}`, always one line, and valid JSON whatever bytes the message has.
enum class Format { kText, kJson };

/// An open log. `use` takes it into use.
struct Target {
  std::string path;  // empty: standard error
  Level level = Level::kInfo;
  Format format = Format::kText;
  std::shared_ptr<spdlog::logger> logger;
};
/// Opens `path`, creates the file if it does not exist, and does not use it yet. Returns an empty text, or the error; then
/// `into` is unchanged.
std::string open(const std::string& path, Level level, Format format, Target& into);
/// All later lines go to `target`. If it has no logger, the first line opens it.
void use(Target target);
/// Opens the same path again, for log rotation (SIGHUP).
void reopen() noexcept;

void debug(std::string_view message) noexcept;
void info(std::string_view message) noexcept;
void warning(std::string_view message) noexcept;
void error(std::string_view message) noexcept;
/// Logs the pieces as one line. For code that must not throw.
void write(Level level, std::initializer_list<std::string_view> pieces) noexcept;

}  // namespace router::log
