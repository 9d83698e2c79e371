#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "router/base/time.h"

namespace router::metrics {

/// What the kernel says of this process, as client libraries of Prometheus expose it (`process_*`). What could not be read is
/// not there, and neither is its metric: /proc may be hidden.
struct ProcessUsage {
  std::optional<double> cpu_seconds;    // user and system, of all threads that there ever were
  std::optional<double> start_seconds;  // since 1970
  std::optional<std::uint64_t> resident_bytes;
  std::optional<std::uint64_t> virtual_bytes;
  std::optional<std::uint64_t> threads;
  std::optional<std::uint64_t> open_descriptors;
  std::optional<std::uint64_t> max_descriptors;  // the soft limit; the greatest number if there is none
};

/// Asks the kernel. Not for the data path; one thread.
class ProcessUsageReader {
 public:
  explicit ProcessUsageReader(std::string proc = "/proc") : proc_(std::move(proc)) {}
  /// Some 30 µs, whatever the process holds, from Linux 6.2 on. On older kernels open descriptors are counted one by one
  /// (0.8 µs each: 16 ms at 20,000), at most once a second.
  ProcessUsage read(TimePoint now);

 private:
  std::optional<std::uint64_t> count_descriptors(TimePoint now);

  const std::string proc_;
  std::optional<std::uint64_t> listed_;
  TimePoint list_again_{};
};

/// What /proc/PID/stat holds of it (proc(5)), in the kernel's own units.
struct ProcessStat {
  std::uint64_t threads = 0;
  std::uint64_t start_ticks = 0;  // since the machine's start
  std::uint64_t virtual_bytes = 0;
  std::uint64_t resident_pages = 0;
};
/// Nothing if it is malformed. The name of the program may hold anything, brackets and spaces too.
std::optional<ProcessStat> parse_process_stat(std::string_view text);

}  // namespace router::metrics
