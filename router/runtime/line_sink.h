#pragma once

#include <absl/status/statusor.h>

#include <cstddef>
#include <span>
#include <string>
#include <utility>

struct iovec;

namespace router::runtime {

/// The file, pipe, terminal or socket to which lines are written without blocking. Standard output is not set to non-blocking,
/// because other processes may share it: a pipe or a terminal is opened a second time, a socket is written with MSG_DONTWAIT.
/// Move-only. One thread.
class LineSink {
 public:
  /// Opens `stdout`, or a file, which is created (0640) if it does not exist and appended to. The error names the path.
  static absl::StatusOr<LineSink> open(const std::string& path);

  LineSink(LineSink&& other) noexcept
      : descriptor_(std::exchange(other.descriptor_, -1)), kind_(other.kind_), is_stdout_(other.is_stdout_) {}
  LineSink& operator=(LineSink&& other) noexcept;
  ~LineSink();

  struct Written {
    std::size_t bytes = 0;
    int error = 0;  // errno; EAGAIN: poll for writing, then call again
  };
  /// Writes as much as possible without blocking. The caller blocks SIGPIPE.
  Written write(std::span<iovec> pieces) const;
  int descriptor() const { return descriptor_; }
  bool is_stdout() const { return is_stdout_; }

 private:
  enum class Kind {
    kPlain,     // a regular file, or opened non-blocking
    kSocket,    // each write has MSG_DONTWAIT
    kBlocking,  // a pipe or terminal that we cannot open again: written in pieces for which it has room
  };
  LineSink(int descriptor, Kind kind, bool is_stdout) : descriptor_(descriptor), kind_(kind), is_stdout_(is_stdout) {}
  static absl::StatusOr<LineSink> open_stdout();

  int descriptor_ = -1;
  Kind kind_ = Kind::kPlain;
  bool is_stdout_ = false;
};

}  // namespace router::runtime
