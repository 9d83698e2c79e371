#include "router/discovery/cause_log.h"

#include <utility>

namespace router::discovery {

bool CauseLog::tells(const std::string& cause, TimePoint now) {
  if (cause == last_) return false;
  if (now >= window_ + kWindow) {
    window_ = now;
    told_ = 0;
  }
  if (told_ >= kTold) return false;
  last_ = cause;
  ++told_;
  return true;
}

bool CauseLog::recovered() { return !std::exchange(last_, {}).empty(); }

}  // namespace router::discovery
