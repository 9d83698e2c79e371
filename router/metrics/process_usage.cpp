#include "router/metrics/process_usage.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <chrono>
#include <ctime>
#include <limits>
#include <memory>

namespace router::metrics {
namespace {

double seconds(const timeval& time) { return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6; }

double read_clock(clockid_t clock) {
  timespec time{};
  ::clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

/// When the machine was started, in seconds since 1970. Read once, since it would move when the clock is set.
double boot_time() {
  static const double kBooted = read_clock(CLOCK_REALTIME) - read_clock(CLOCK_BOOTTIME);
  return kBooted;
}

std::optional<ProcessStat> read_stat(const std::string& proc) {
  const int file = ::open((proc + "/self/stat").c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return std::nullopt;
  std::array<char, 1024> text{};  // 52 numbers and a name of at most 64 bytes
  const ssize_t size = ::read(file, text.data(), text.size());
  ::close(file);
  if (size <= 0) return std::nullopt;
  return parse_process_stat({text.data(), static_cast<std::size_t>(size)});
}

struct CloseFolder {
  void operator()(DIR* folder) const { ::closedir(folder); }
};

/// Leaves out the descriptor with which they are counted.
std::optional<std::uint64_t> count_entries(const std::string& path) {
  const std::unique_ptr<DIR, CloseFolder> folder(::opendir(path.c_str()));
  if (folder == nullptr) return std::nullopt;
  std::uint64_t entries = 0;
  while (const dirent* entry = ::readdir(folder.get())) entries += entry->d_name[0] != '.' ? 1 : 0;
  return entries > 0 ? entries - 1 : 0;
}

}  // namespace

std::optional<ProcessStat> parse_process_stat(std::string_view text) {
  constexpr std::size_t kFirst = 3;  // the first field after the name; the name ends with the last bracket
  constexpr std::size_t kThreads = 20, kStart = 22, kVirtual = 23, kResident = 24;
  const std::size_t name_end = text.rfind(')');
  if (name_end == std::string_view::npos) return std::nullopt;
  text.remove_prefix(name_end + 1);
  ProcessStat stat;
  for (std::size_t field = kFirst; field <= kResident; ++field) {
    if (!text.starts_with(' ')) return std::nullopt;
    text.remove_prefix(1);
    const std::string_view word = text.substr(0, text.find_first_of(" \n"));
    std::uint64_t* into = field == kThreads    ? &stat.threads
                          : field == kStart    ? &stat.start_ticks
                          : field == kVirtual  ? &stat.virtual_bytes
                          : field == kResident ? &stat.resident_pages
                                               : nullptr;
    if (into != nullptr) {
      const std::from_chars_result read = std::from_chars(word.data(), word.data() + word.size(), *into);
      if (read.ec != std::errc() || read.ptr != word.data() + word.size()) return std::nullopt;
    }
    text.remove_prefix(word.size());
  }
  return stat;
}

/// The folder's size is the number of descriptors since Linux 6.2, and 0 before.
std::optional<std::uint64_t> ProcessUsageReader::count_descriptors(TimePoint now) {
  const std::string path = proc_ + "/self/fd";
  struct stat about {};
  if (::stat(path.c_str(), &about) != 0) return std::nullopt;
  if (about.st_size > 0) return static_cast<std::uint64_t>(about.st_size);
  if (!listed_ || now >= list_again_) {
    listed_ = count_entries(path);
    list_again_ = now + std::chrono::seconds(1);
  }
  return listed_;
}

ProcessUsage ProcessUsageReader::read(TimePoint now) {
  ProcessUsage usage;
  if (rusage used{}; ::getrusage(RUSAGE_SELF, &used) == 0) {
    usage.cpu_seconds = seconds(used.ru_utime) + seconds(used.ru_stime);
  }
  if (rlimit limit{}; ::getrlimit(RLIMIT_NOFILE, &limit) == 0) usage.max_descriptors = limit.rlim_cur;
  usage.open_descriptors = count_descriptors(now);
  const std::optional<ProcessStat> stat = read_stat(proc_);
  if (!stat) return usage;
  usage.threads = stat->threads;
  usage.virtual_bytes = stat->virtual_bytes;
  usage.resident_bytes = stat->resident_pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  usage.start_seconds = boot_time() + static_cast<double>(stat->start_ticks) / static_cast<double>(::sysconf(_SC_CLK_TCK));
  return usage;
}

}  // namespace router::metrics
