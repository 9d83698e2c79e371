#include "router/fleet_link/boot_alarm.h"

#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <ctime>
#include <new>
#include <utility>

namespace router::fleet_link {
namespace {

constexpr std::chrono::milliseconds kAgain{10};

timespec timespec_of(BootTime when) {
  // Zero would disarm the timer.
  const auto since = std::max(when.time_since_epoch(), BootClock::duration(1));
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(since);
  return {seconds.count(), (since - seconds).count()};
}

}  // namespace

BootTime BootClock::now() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return BootTime(std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec));
}

BootAlarm::BootAlarm(runtime::Shard& shard, Ring ring)
    : shard_(shard), timer_(::timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC)), ring_(std::move(ring)) {
  if (!timer_.is_open()) throw std::bad_alloc();
  watch_ = shard.poller().watch(timer_.get(), runtime::Precedence::kFirst);
  watch_->set_waker(this);
  watch_->arm_read();
}

BootAlarm::~BootAlarm() { shard_.poller().forget(watch_); }

void BootAlarm::set(BootTime when) noexcept {
  when_ = when;
  itimerspec at{};
  if (when != BootTime::max()) at.it_value = timespec_of(when);
  ::timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &at, nullptr);
}

void BootAlarm::wake() {
  std::uint64_t times = 0;
  const bool rang = ::read(timer_.get(), &times, sizeof times) > 0;
  watch_->note_drained();
  watch_->arm_read();
  const BootTime now = BootClock::now();
  if (!rang || now < when_) return;  // it was set to a later time meanwhile
  when_ = BootTime::max();
  try {
    ring_(now);
  } catch (...) {
    set(now + kAgain);
    throw;
  }
}

}  // namespace router::fleet_link
