#include "router/runtime/line_sink.h"

#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>

namespace router::runtime {
namespace {

absl::Status cannot_open(const std::string& path, int error) {
  return absl::ErrnoToStatus(error, absl::StrCat("cannot open ", path, " for writing"));
}

bool has_room(int descriptor) {
  pollfd ask{descriptor, POLLOUT, 0};
  return ::poll(&ask, 1, 0) > 0;  // also after an error, which the write returns
}

}  // namespace

absl::StatusOr<LineSink> LineSink::open(const std::string& path) {
  if (path == "stdout") return open_stdout();
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0640);
  if (descriptor < 0) return cannot_open(path, errno);
  return LineSink(descriptor, Kind::kPlain, false);
}

absl::StatusOr<LineSink> LineSink::open_stdout() {
  struct stat about {};
  if (::fstat(STDOUT_FILENO, &about) != 0) return cannot_open("stdout", errno);
  if (S_ISFIFO(about.st_mode) || S_ISCHR(about.st_mode)) {
    // An open file description of our own, so that O_NONBLOCK applies only to us. This fails if another user made the pipe.
    const int own = ::open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (own >= 0) return LineSink(own, Kind::kPlain, true);
  }
  const int copy = ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
  if (copy < 0) return cannot_open("stdout", errno);
  if (S_ISREG(about.st_mode)) return LineSink(copy, Kind::kPlain, true);
  return LineSink(copy, S_ISSOCK(about.st_mode) ? Kind::kSocket : Kind::kBlocking, true);
}

LineSink& LineSink::operator=(LineSink&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  std::swap(kind_, other.kind_);
  std::swap(is_stdout_, other.is_stdout_);
  return *this;
}

LineSink::~LineSink() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

LineSink::Written LineSink::write(std::span<iovec> pieces) const {
  if (kind_ == Kind::kBlocking) {
    // A pipe with room takes at least PIPE_BUF bytes without blocking (pipe(7)).
    if (!has_room(descriptor_)) return {0, EAGAIN};
    pieces = pieces.first(1);
    pieces[0].iov_len = std::min<std::size_t>(pieces[0].iov_len, PIPE_BUF);
  }
  msghdr message{};
  message.msg_iov = pieces.data();
  message.msg_iovlen = pieces.size();
  ssize_t written;
  do {
    written = kind_ == Kind::kSocket ? ::sendmsg(descriptor_, &message, MSG_DONTWAIT | MSG_NOSIGNAL)
                                     : ::writev(descriptor_, pieces.data(), static_cast<int>(pieces.size()));
  } while (written < 0 && errno == EINTR);
  if (written < 0) return {0, errno == EWOULDBLOCK ? EAGAIN : errno};
  return {static_cast<std::size_t>(written), 0};
}

}  // namespace router::runtime
