#include "config/file_text.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

namespace router::config {
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

/// The length in bytes of the character that `text` begins with; 0 if it is not UTF-8 or not allowed.
std::size_t character_length(std::string_view text) {
  const auto byte = [text](std::size_t i) -> unsigned { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0; };
  const auto follows = [byte](std::size_t i) { return (byte(i) & 0xc0) == 0x80; };
  const unsigned first = byte(0);
  if (first < 0x80) return (first >= ' ' && first != 0x7f) || first == '\t' || first == '\n' || first == '\r' ? 1 : 0;
  if (first >= 0xc2 && first <= 0xdf) return follows(1) ? 2 : 0;
  if ((first & 0xf0) == 0xe0) {
    const bool overlong = first == 0xe0 && byte(1) < 0xa0;
    const bool surrogate = first == 0xed && byte(1) >= 0xa0;
    return !overlong && !surrogate && follows(1) && follows(2) ? 3 : 0;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    const bool beyond = (first == 0xf0 && byte(1) < 0x90) || (first == 0xf4 && byte(1) >= 0x90);
    return !beyond && follows(1) && follows(2) && follows(3) ? 4 : 0;
  }
  return 0;
}

}  // namespace

FileText read_file(const std::string& path, std::size_t bytes_max) {
  // Without O_NONBLOCK, opening a pipe would wait for a writer.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (file.number() < 0) return refuse(errno);
  struct stat found {};
  if (::fstat(file.number(), &found) != 0) return refuse(errno);
  if (S_ISDIR(found.st_mode)) return refuse("is a folder; a file is expected");
  if (!S_ISREG(found.st_mode)) return refuse("is not a regular file");
  std::string text;
  char piece[16 * 1024];
  for (;;) {
    const ssize_t count = ::read(file.number(), piece, sizeof(piece));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return refuse(errno);
    if (count == 0) return {std::move(text), {}, false};
    text.append(piece, static_cast<std::size_t>(count));
    if (text.size() > bytes_max) return refuse("is larger than " + std::to_string(bytes_max) + " bytes");
  }
}

bool is_plain_text(std::string_view text) {
  while (!text.empty()) {
    const std::size_t length = character_length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

std::string absolute_path(const std::string& file, const std::string& path) {
  return (std::filesystem::path(file).parent_path() / path).lexically_normal().string();
}

}  // namespace router::config
