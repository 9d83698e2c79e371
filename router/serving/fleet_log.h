#pragma once

#include <chrono>
#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "router/base/log.h"
#include "router/base/log_deduplicator.h"
#include "router/base/time.h"
#include "router/runtime/address.h"

namespace router::serving {

struct FleetLine {
  log::Level level = log::Level::kInfo;
  std::string text;
};

/// The lines of the fleet's thread for the process log. Control writes them: a log that blocks must not delay a beat. At most
/// kLines in a minute, and those that say again what is known not at all. May throw std::bad_alloc; then a line is lost. The
/// fleet's thread.
class FleetLog {
 public:
  static constexpr std::size_t kLines = 300;
  static constexpr std::chrono::minutes kWindow{1};

  explicit FleetLog(const Clock& clock) : clock_(clock) {}

  void say(log::Level level, std::string text);
  /// Once in a minute, whatever the peer does again and again.
  void say_once(log::Level level, const std::string& text);
  /// An attempt to reach `address` has failed: logged when the cause changes.
  void unreachable(const runtime::Address& address, const char* cause, int system_error);
  /// A member that says it has this address is there.
  void reached(const std::string& address);
  /// Forgets what is known of addresses that are no peers any more.
  void keep_only(const std::vector<runtime::Address>& peers);

  bool empty() const { return lines_.empty(); }
  std::vector<FleetLine> take();

 private:
  const Clock& clock_;
  std::vector<FleetLine> lines_;
  std::size_t in_window_ = 0;
  TimePoint window_{};
  std::map<std::string, TimePoint> said_;           // by text, of the last minute
  std::map<std::string, std::string> unreachable_;  // by address: what was logged last
};

/// Writes the lines to the process log, and removes them. Control.
void write_lines(std::vector<FleetLine>& lines) noexcept;

}  // namespace router::serving
