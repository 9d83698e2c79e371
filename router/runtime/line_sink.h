#pragma once

#include <absl/status/statusor.h>

#include <cstddef>
#include <span>
#include <string>
#include <utility>

struct iovec;

namespace router::runtime {

/// Where lines go: a file, a pipe, a terminal or a socket that is written without being waited for. Standard output is not made
/// non-blocking (others share it): a pipe is opened a second time for us, a socket is asked not to wait. Move-only. One thread.
class LineSink {
 public:
  /// `stdout`, or a path that is made (0640) if it is not there and appended to. The error names the path.
  static absl::StatusOr<LineSink> open(const std::string& path);

  LineSink(LineSink&& other) noexcept
      : descriptor_(std::exchange(other.descriptor_, -1)), kind_(other.kind_), is_stdout_(other.is_stdout_) {}
  LineSink& operator=(LineSink&& other) noexcept;
  ~LineSink();

  struct Written {
    std::size_t bytes = 0;
    int error = 0;  // errno; EAGAIN: poll for writing, then go on
  };
  /// Writes as much as goes without waiting. The caller blocks SIGPIPE.
  Written write(std::span<iovec> pieces) const;
  int descriptor() const { return descriptor_; }
  bool is_stdout() const { return is_stdout_; }

 private:
  enum class Kind {
    kPlain,     // never waits: a regular file, or opened non-blocking
    kSocket,    // told at each write not to wait
    kBlocking,  // a pipe or terminal that we may not open anew: written in pieces for which it has room
  };
  LineSink(int descriptor, Kind kind, bool is_stdout) : descriptor_(descriptor), kind_(kind), is_stdout_(is_stdout) {}
  static absl::StatusOr<LineSink> open_stdout();

  int descriptor_ = -1;
  Kind kind_ = Kind::kPlain;
  bool is_stdout_ = false;
};

}  // namespace router::runtime
