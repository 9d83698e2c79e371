#include "router/base/log.h"

#include <fcntl.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <memory>
#include <mutex>

#include "router/base/json_text.h"
#include "router/base/one_line.h"

namespace router::log {
namespace {

struct Sink {
  std::mutex mutex;
  Target target;
};

Sink& sink() {
  static Sink instance;
  return instance;
}

spdlog::level::level_enum spdlog_level(Level level) {
  switch (level) {
    case Level::kDebug: return spdlog::level::debug;
    case Level::kInfo: return spdlog::level::info;
    case Level::kWarning: return spdlog::level::warn;
    case Level::kError: return spdlog::level::err;
  }
  return spdlog::level::info;
}

/// The names of `log.level` in router.yaml.
std::string_view name_of(spdlog::level::level_enum level) {
  switch (level) {
    case spdlog::level::trace:
    case spdlog::level::debug: return "debug";
    case spdlog::level::warn: return "warning";
    case spdlog::level::err:
    case spdlog::level::critical: return "error";
    default: return "info";
  }
}

/// Appends the time in UTC: `2026-01-31T12:34:56.789Z`.
void append_time(std::string& line, std::chrono::system_clock::time_point time) {
  const std::time_t second = std::chrono::system_clock::to_time_t(time);
  const auto since = std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
  std::tm utc{};
  gmtime_r(&second, &utc);
  char text[64];
  const std::size_t size = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
  line.append(text, size);
  std::snprintf(text, sizeof text, ".%03dZ", static_cast<int>(since % 1000));
  line.append(text);
}

/// Indents all lines of a message but the first: only the beginning of a message begins with a time.
void append_shown(std::string& line, std::string_view message) {
  for (std::size_t end = message.find('\n'); end != std::string_view::npos; end = message.find('\n')) {
    append_on_one_line(line, message.substr(0, end));
    line.append("\n  ");
    message.remove_prefix(end + 1);
  }
  append_on_one_line(line, message);
}

/// Formats each line in a string that it keeps, so that lines of the usual length can be written while memory is short. spdlog
/// calls it under the sink's mutex.
class LineFormatter : public spdlog::formatter {
 public:
  LineFormatter() { line_.reserve(kUsualLine); }
  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& to) final {
    line_.clear();
    append(line_, message);
    to.append(line_.data(), line_.data() + line_.size());
  }

 private:
  static constexpr std::size_t kUsualLine = 1024;
  virtual void append(std::string& line, const spdlog::details::log_msg& message) const = 0;
  std::string line_;
};

class TextFormatter final : public LineFormatter {
  void append(std::string& line, const spdlog::details::log_msg& message) const override {
    append_time(line, message.time);
    line.append(" ").append(name_of(message.level)).append(" ");
    append_shown(line, {message.payload.data(), message.payload.size()});
    line.push_back('\n');
  }
  std::unique_ptr<spdlog::formatter> clone() const override { return std::make_unique<TextFormatter>(); }
};

class JsonFormatter final : public LineFormatter {
  void append(std::string& line, const spdlog::details::log_msg& message) const override {
    line.append(R"({"time":")");
    append_time(line, message.time);
    line.append(R"(","level":")").append(name_of(message.level)).append(R"(","message":")");
    append_json_text(line, {message.payload.data(), message.payload.size()});
    line.append("\"}\n");
  }
  std::unique_ptr<spdlog::formatter> clone() const override { return std::make_unique<JsonFormatter>(); }
};

/// Whether `path` is a pipe without a reader, or a socket (ENXIO). Opening such a pipe to write would block until it has a
/// reader.
bool nobody_reads(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (descriptor < 0) return errno == ENXIO;
  ::close(descriptor);
  return false;
}

std::shared_ptr<spdlog::logger> make_logger(const std::string& path, Level level, Format format) {
  std::shared_ptr<spdlog::sinks::sink> target;
  if (path.empty()) {
    target = std::make_shared<spdlog::sinks::stderr_sink_mt>();
  } else {
    target = std::make_shared<spdlog::sinks::basic_file_sink_mt>(path);
  }
  auto logger = std::make_shared<spdlog::logger>("router", std::move(target));
  if (format == Format::kJson) {
    logger->set_formatter(std::make_unique<JsonFormatter>());
  } else {
    logger->set_formatter(std::make_unique<TextFormatter>());
  }
  logger->set_level(spdlog_level(level));
  logger->flush_on(spdlog::level::info);
  return logger;
}

std::shared_ptr<spdlog::logger> current_logger() {
  const std::lock_guard lock(sink().mutex);
  Target& target = sink().target;
  if (!target.logger) target.logger = make_logger(target.path, target.level, target.format);
  return target.logger;
}

void write(spdlog::level::level_enum level, std::string_view message) noexcept {
  try {
    current_logger()->log(level, "{}", message);
  } catch (const std::exception&) {
    // A line that cannot be written, because of memory or of the file, is lost: code that reports a failure must not fail
    // again.
  }
}

}  // namespace

std::string open(const std::string& path, Level level, Format format, Target& into) {
  try {
    if (!path.empty() && nobody_reads(path)) return path + " is a pipe that nobody reads, or a socket";
    into = {path, level, format, make_logger(path, level, format)};
  } catch (const spdlog::spdlog_ex& error) {
    return error.what();
  }
  return {};
}

void use(Target target) {
  const std::lock_guard lock(sink().mutex);
  std::swap(sink().target, target);  // the old logger is destroyed after the mutex is released
}

void reopen() noexcept {
  try {
    Target target;
    {
      const std::lock_guard lock(sink().mutex);
      target = sink().target;
    }
    const std::string error = open(target.path, target.level, target.format, target);
    error.empty() ? use(std::move(target)) : warning("the log file could not be reopened: " + error);
  } catch (const std::exception&) {
    warning("the log file could not be reopened: memory is short");
  }
}

void debug(std::string_view message) noexcept { write(spdlog::level::debug, message); }
void info(std::string_view message) noexcept { write(spdlog::level::info, message); }
void warning(std::string_view message) noexcept { write(spdlog::level::warn, message); }
void error(std::string_view message) noexcept { write(spdlog::level::err, message); }

void write(Level level, std::initializer_list<std::string_view> pieces) noexcept {
  try {
    std::string message;
    for (const std::string_view piece : pieces) message.append(piece);
    write(spdlog_level(level), message);
  } catch (const std::exception&) {
    write(spdlog_level(level), *pieces.begin());  // no memory for the whole line: the first piece alone
  }
}

}  // namespace router::log
