#include "router/dispatch/coverage.h"

#include <ctime>

namespace router::dispatch {

Coverage::BootTime Coverage::boot_time() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return std::chrono::seconds(now.tv_sec) + BootTime(now.tv_nsec);
}

}  // namespace router::dispatch
