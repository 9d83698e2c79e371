#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "router/base/time.h"

namespace router::metrics {

/// What the kernel reports of this process, exposed as client libraries of Prometheus do (`process_*`). A value that could not
/// be read is empty, and its metric is left out: /proc may be hidden.
struct ProcessUsage {
  std::optional<double> cpu_seconds;    // user and system, of all threads, also those that have ended
  std::optional<double> start_seconds;  // since 1970
  std::optional<std::uint64_t> resident_bytes;
  std::optional<std::uint64_t> virtual_bytes;
  std::optional<std::uint64_t> threads;
  std::optional<std::uint64_t> open_descriptors;
  std::optional<std::uint64_t> max_descriptors;  // the soft limit; the largest number if there is none
};

/// Reads the figures from the kernel. Not for the data path; one thread.
class ProcessUsageReader {
 public:
  explicit ProcessUsageReader(std::string proc = "/proc") : proc_(std::move(proc)) {}
  /// Takes some 30 µs from Linux 6.2 on. On older kernels open descriptors are counted one by one (0.8 µs each: 16 ms at
  /// 20,000), at most once a second.
  ProcessUsage read(TimePoint now);

 private:
  std::optional<std::uint64_t> count_descriptors(TimePoint now);

  const std::string proc_;
  std::optional<std::uint64_t> listed_;
  TimePoint list_again_{};
};

/// The content of /proc/PID/stat (proc(5)), in the kernel's units.
struct ProcessStat {
  std::uint64_t threads = 0;
  std::uint64_t start_ticks = 0;  // since the machine's start
  std::uint64_t virtual_bytes = 0;
  std::uint64_t resident_pages = 0;
};
/// Nothing if `text` is malformed. The name of the program may contain anything, brackets and spaces too.
std::optional<ProcessStat> parse_process_stat(std::string_view text);

}  // namespace router::metrics
