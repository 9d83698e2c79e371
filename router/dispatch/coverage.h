#pragma once

#include <atomic>
#include <chrono>

namespace router::dispatch {

/// Until when this process may begin exchanges at pods of limited deployments. It is covered as long as no other member of the
/// fleet may act as home of its namespaces; the fleet's thread extends that time with each acknowledged beat. A shard asks just
/// before it begins a request, since its own thread, or the whole process, may have stood still since the last beat.
/// The clock is CLOCK_BOOTTIME, which goes on while the machine is suspended. One object for a process with a fleet.
/// Threads: `set_until` on the fleet's thread, `covers_now` on any.
class Coverage {
 public:
  using BootTime = std::chrono::nanoseconds;  // CLOCK_BOOTTIME; not comparable with that of another machine
  using ReadClock = BootTime (*)() noexcept;
  static BootTime boot_time() noexcept;
  static constexpr BootTime kAlways = BootTime::max();

  /// Covers nothing before the first `set_until`. `now`: tests replace the clock.
  explicit Coverage(ReadClock now = boot_time) : now_(now) {}

  void set_until(BootTime until) noexcept { until_.store(until.count(), std::memory_order_release); }
  BootTime until() const noexcept { return BootTime(until_.load(std::memory_order_acquire)); }
  /// Reads the clock: no earlier reading is used.
  bool covers_now() const noexcept { return now_() < until(); }

 private:
  const ReadClock now_;
  std::atomic<BootTime::rep> until_{0};
};

}  // namespace router::dispatch
