#include "router/files/read_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

namespace router::files {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int number() const { return number_; }

 private:
  const int number_;
};

FileText refuse(const std::string& why) { return {{}, why, false}; }
FileText refuse(int error) {
  const bool out_of_reach = error == EMFILE || error == ENFILE || error == ENOMEM;
  return {{}, "cannot be read: " + std::system_category().message(error), out_of_reach};
}

}  // namespace

FileText read_file(const std::string& path, std::size_t bytes_max) {
  // Without O_NONBLOCK, opening a pipe would wait for a writer.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  // ENXIO: a socket, or a device file without a device.
  if (file.number() < 0) return errno == ENXIO ? refuse("is not a regular file") : refuse(errno);
  struct stat found {};
  if (::fstat(file.number(), &found) != 0) return refuse(errno);
  if (S_ISDIR(found.st_mode)) return refuse("is a folder; a file is expected");
  if (!S_ISREG(found.st_mode)) return refuse("is not a regular file");
  std::string text;
  constexpr std::size_t kPiece = 16 * 1024;
  // One byte more than the size, so that reading the end needs no larger buffer. Files of the kernel (/proc) report no size.
  std::size_t room = found.st_size > 0 ? std::min(static_cast<std::size_t>(found.st_size), bytes_max) + 1 : kPiece;
  for (std::size_t length = 0;; room = text.capacity() > length ? text.capacity() - length : kPiece) {
    text.resize(length + room);
    const ssize_t count = ::read(file.number(), text.data() + length, room);
    const int error = errno;
    if (count > 0) length += static_cast<std::size_t>(count);
    text.resize(length);
    if (count < 0 && error == EINTR) continue;
    if (count < 0) return refuse(error);
    if (count == 0) return {std::move(text), {}, false};
    if (length > bytes_max) return refuse("is larger than " + std::to_string(bytes_max) + " bytes");
  }
}

}  // namespace router::files
