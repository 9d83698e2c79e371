#include "router/dispatch/health.h"

#include <algorithm>

namespace router::dispatch {

void Health::eject(TimePoint now) {
  const bool relapse = length_ > Duration{} && now - readmitted_ < length_;
  length_ = relapse ? std::min<Duration>(2 * length_, kLongest) : Duration{kFirst};
  ejected_ = true;
  ejected_until_ = now + length_;
}

void Health::readmit(TimePoint now) {
  ejected_ = false;
  failures_ = 0;
  readmitted_ = now;
}

}  // namespace router::dispatch
