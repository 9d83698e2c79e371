#include "router/base/log.h"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <mutex>

namespace router::log {
namespace {

struct Sink {
  std::mutex mutex;
  std::string path;
  Level level = Level::kInfo;
  std::shared_ptr<spdlog::logger> logger;
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

std::shared_ptr<spdlog::logger> make_logger(const std::string& path, Level level) {
  std::shared_ptr<spdlog::sinks::sink> target;
  if (path.empty()) {
    target = std::make_shared<spdlog::sinks::stderr_sink_mt>();
  } else {
    target = std::make_shared<spdlog::sinks::basic_file_sink_mt>(path);
  }
  auto logger = std::make_shared<spdlog::logger>("router", std::move(target));
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %l %v", spdlog::pattern_time_type::utc);
  logger->set_level(spdlog_level(level));
  logger->flush_on(spdlog::level::info);
  return logger;
}

void write(spdlog::level::level_enum level, std::string_view message) {
  std::shared_ptr<spdlog::logger> logger;
  {
    const std::lock_guard lock(sink().mutex);
    if (!sink().logger) sink().logger = make_logger(sink().path, sink().level);
    logger = sink().logger;
  }
  logger->log(level, "{}", message);
}

}  // namespace

std::string open(const std::string& path, Level level) {
  try {
    std::shared_ptr<spdlog::logger> logger = make_logger(path, level);
    const std::lock_guard lock(sink().mutex);
    sink().path = path;
    sink().level = level;
    sink().logger = std::move(logger);
  } catch (const spdlog::spdlog_ex& error) {
    return error.what();
  }
  return {};
}

void reopen() {
  std::string path;
  Level level;
  {
    const std::lock_guard lock(sink().mutex);
    path = sink().path;
    level = sink().level;
  }
  if (const std::string error = open(path, level); !error.empty()) warning("the log file could not be reopened: " + error);
}

void debug(std::string_view message) { write(spdlog::level::debug, message); }
void info(std::string_view message) { write(spdlog::level::info, message); }
void warning(std::string_view message) { write(spdlog::level::warn, message); }
void error(std::string_view message) { write(spdlog::level::err, message); }

}  // namespace router::log
