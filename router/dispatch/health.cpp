#include "router/dispatch/health.h"

#include <algorithm>

#include "router/base/assert.h"

namespace router::dispatch {

void Health::eject(TimePoint now) {
  ROUTER_ASSERT(state_ == State::kWell);
  const bool relapse = ejection_ > Duration{} && now - readmitted_ < ejection_;
  ejection_ = relapse ? std::min<Duration>(2 * ejection_, kLongest) : Duration{kFirst};
  state_ = State::kEjected;
  asked_from_ = now + ejection_;
}

void Health::refuse(TimePoint now) {
  ROUTER_ASSERT(state_ == State::kWell);
  const bool relapse = accepted_ != TimePoint{} && now - accepted_ < kRefusesAgain;
  pause_ = relapse ? std::clamp<Duration>(2 * pause_, kPauseFirst, kPauseLongest) : Duration{};
  state_ = State::kRefusing;
  asked_from_ = now + pause_;
}

void Health::readmit(TimePoint now) {
  (ejected() ? readmitted_ : accepted_) = now;
  state_ = State::kWell;
  failures_ = 0;
}

}  // namespace router::dispatch
