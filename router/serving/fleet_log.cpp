#include "router/serving/fleet_log.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <system_error>
#include <utility>

namespace router::serving {
namespace {

constexpr std::size_t kSaidMax = 64;

}  // namespace

void FleetLog::say(log::Level level, std::string text) {
  const TimePoint now = clock_.now();
  if (now >= window_ + kWindow) {
    window_ = now;
    in_window_ = 0;
  }
  if (in_window_ > kLines) return;
  if (++in_window_ > kLines) {
    level = log::Level::kWarning;
    text = "fleet: too many lines in a minute; the rest is not logged";
  }
  lines_.push_back({level, std::move(text)});
}

void FleetLog::say_once(log::Level level, const std::string& text) {
  const TimePoint now = clock_.now();
  std::erase_if(said_, [now](const auto& each) { return now >= each.second + kWindow; });
  if (said_.contains(text) || said_.size() >= kSaidMax) return;
  said_.emplace(text, now);
  say(level, text);
}

void FleetLog::unreachable(const runtime::Address& address, const char* cause, int system_error) {
  std::string what = cause;
  if (system_error != 0) absl::StrAppend(&what, ": ", std::generic_category().message(system_error));
  std::string& logged = unreachable_[address.text()];
  if (logged == what) return;
  say(log::Level::kWarning, absl::StrCat("fleet: ", address.text(), " cannot be reached: ", what));
  logged = std::move(what);
}

void FleetLog::reached(const std::string& address) {
  if (unreachable_.erase(address) > 0) say(log::Level::kInfo, absl::StrCat("fleet: ", address, " is reached"));
}

void FleetLog::keep_only(const std::vector<runtime::Address>& peers) {
  std::erase_if(unreachable_, [&](const auto& each) {
    return std::none_of(peers.begin(), peers.end(), [&](const runtime::Address& one) { return one.text() == each.first; });
  });
}

std::vector<FleetLine> FleetLog::take() { return std::exchange(lines_, {}); }

void write_lines(std::vector<FleetLine>& lines) noexcept {
  for (const FleetLine& line : lines) log::write(line.level, {line.text});
  lines.clear();
}

}  // namespace router::serving
