#pragma once

#include <unistd.h>

#include <utility>

namespace router::runtime {

/// A file descriptor with an owner: closed when destroyed, whatever is thrown between opening it and handing it on. Move-only.
class Descriptor {
 public:
  /// Takes over `number`; a negative one, as a failed call returns, is none.
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
