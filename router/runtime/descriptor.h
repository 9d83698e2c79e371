#pragma once

#include <unistd.h>

#include <utility>

namespace router::runtime {

/// Owns a file descriptor and closes it when destroyed, also if an exception is thrown before it is passed on. Move-only.
class Descriptor {
 public:
  /// Takes over `number`. A negative one, which a failed call returns, means no descriptor.
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(Descriptor&& other) noexcept : number_(other.release()) {}
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }

  bool is_open() const { return number_ >= 0; }
  int get() const { return number_; }
  int release() { return std::exchange(number_, -1); }

 private:
  int number_;
};

}  // namespace router::runtime
