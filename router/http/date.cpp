#include "router/http/date.h"

#include <ctime>

namespace router::http {
namespace {

constexpr std::string_view kDays = "SunMonTueWedThuFriSat";
constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";
constexpr std::string_view kShape = "Day, 00 Mon 0000 00:00:00 GMT";
static_assert(kShape.size() == kDateSize);

void put(char* to, std::string_view names, int index) { names.substr(3 * static_cast<std::size_t>(index), 3).copy(to, 3); }

void put_number(char* to, int digits, int number) {
  for (; digits > 0; number /= 10) to[--digits] = static_cast<char>('0' + number % 10);
}

}  // namespace

std::array<char, kDateSize> format_date(std::chrono::system_clock::time_point time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(std::chrono::floor<std::chrono::seconds>(time));
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  std::array<char, kDateSize> text;
  kShape.copy(text.data(), text.size());
  put(text.data(), kDays, parts.tm_wday);
  put_number(text.data() + 5, 2, parts.tm_mday);
  put(text.data() + 8, kMonths, parts.tm_mon);
  put_number(text.data() + 12, 4, parts.tm_year + 1900);
  put_number(text.data() + 17, 2, parts.tm_hour);
  put_number(text.data() + 20, 2, parts.tm_min);
  put_number(text.data() + 23, 2, parts.tm_sec);
  return text;
}

void Date::renew(TimePoint now) {
  const std::chrono::system_clock::time_point time = std::chrono::system_clock::now();
  const auto second = std::chrono::floor<std::chrono::seconds>(time);
  text_ = format_date(time);
  until_ = now + std::chrono::duration_cast<Duration>(second + std::chrono::seconds(1) - time);
}

}  // namespace router::http
