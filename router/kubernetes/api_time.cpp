#include "router/kubernetes/api_time.h"

#include <cstdio>
#include <ctime>

namespace router::kubernetes {
namespace {

std::string date_and_time(WallTime time) {
  const std::time_t second = std::chrono::system_clock::to_time_t(std::chrono::floor<std::chrono::seconds>(time));
  std::tm utc{};
  ::gmtime_r(&second, &utc);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
  return text;
}

}  // namespace

std::string time_text(WallTime time) { return date_and_time(time) + "Z"; }

std::string micro_time_text(WallTime time) {
  const auto fraction = std::chrono::floor<std::chrono::microseconds>(time - std::chrono::floor<std::chrono::seconds>(time));
  char text[16];
  std::snprintf(text, sizeof text, ".%06dZ", static_cast<int>(fraction.count()));
  return date_and_time(time) + text;
}

}  // namespace router::kubernetes
