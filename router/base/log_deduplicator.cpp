#include "router/base/log_deduplicator.h"

namespace router {

bool LogDeduplicator::should_log(const std::string& text, TimePoint now) {
  if (repeats_.contains(text)) return false;
  if (options_.window > Duration::zero() && now >= window_ + options_.window) {
    window_ = now;
    logged_ = 0;
  }
  if (logged_ >= options_.logged_max) return false;
  if (options_.repeat == Options::Repeat::kLastLogged) repeats_.clear();
  repeats_.insert(text);
  ++logged_;
  return true;
}

bool LogDeduplicator::recovered() {
  const bool logged = !repeats_.empty();
  repeats_.clear();
  if (options_.window == Duration::zero()) logged_ = 0;
  return logged;
}

}  // namespace router
