#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "router/runtime/address.h"
#include "tests/support/test_shard.h"

namespace router::test {

/// A descriptor that closes itself, with the operations of tests on sockets. It never blocks.
class Descriptor {
 public:
  explicit Descriptor(int descriptor = -1) : descriptor_(descriptor) {}
  Descriptor(Descriptor&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  ~Descriptor() { close(); }

  explicit operator bool() const { return descriptor_ >= 0; }
  int get() const { return descriptor_; }
  int release() { return std::exchange(descriptor_, -1); }
  void close() {
    if (descriptor_ >= 0) ::close(std::exchange(descriptor_, -1));
  }
  void send(std::string_view bytes) const { ::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL); }
  std::string received() const {
    std::string all;
    char bytes[4096];
    for (ssize_t got; (got = ::recv(descriptor_, bytes, sizeof bytes, MSG_DONTWAIT)) > 0;)
      all.append(bytes, static_cast<std::size_t>(got));
    return all;
  }
  /// The peer has closed, in order or with a reset, and all bytes before that were received.
  bool at_end() const {
    char byte;
    const ssize_t got = ::recv(descriptor_, &byte, 1, MSG_DONTWAIT | MSG_PEEK);
    return got == 0 || (got < 0 && errno == ECONNRESET);
  }

 private:
  int descriptor_;
};

/// A listening socket on the loopback, with a port that the kernel chooses.
class LoopbackListener {
 public:
  LoopbackListener() : listening_(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
    const runtime::Address any = *runtime::Address::parse("127.0.0.1", 0);
    if (::bind(listening_.get(), any.get(), any.length()) != 0 || ::listen(listening_.get(), 100) != 0)
      throw std::runtime_error("listen");
    sockaddr_storage storage{};
    socklen_t length = sizeof storage;
    ::getsockname(listening_.get(), reinterpret_cast<sockaddr*>(&storage), &length);
    address_ = runtime::Address::from(reinterpret_cast<const sockaddr*>(&storage), length);
  }
  const runtime::Address& address() const { return address_; }
  /// False if no connection has come.
  Descriptor accept() const { return Descriptor(::accept4(listening_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)); }
  /// From now on connections are refused.
  void close() { listening_.close(); }

 private:
  Descriptor listening_;
  runtime::Address address_;
};

/// A socket that listens, never accepts, and whose backlog is full: the kernel drops the SYN of whoever connects.
class SilentListener {
 public:
  SilentListener() {
    const runtime::Address any = *runtime::Address::parse("127.0.0.1", 0);
    ::bind(listening_.get(), any.get(), any.length());
    ::listen(listening_.get(), 0);
    sockaddr_storage storage{};
    socklen_t length = sizeof storage;
    ::getsockname(listening_.get(), reinterpret_cast<sockaddr*>(&storage), &length);
    address_ = runtime::Address::from(reinterpret_cast<const sockaddr*>(&storage), length);
    for (Descriptor& each : filling_) {
      each = Descriptor(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
      ::connect(each.get(), address_.get(), address_.length());
    }
  }
  const runtime::Address& address() const { return address_; }

 private:
  Descriptor listening_{::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
  runtime::Address address_;
  std::array<Descriptor, 4> filling_;
};

inline Descriptor connect_to(const runtime::Address& address) {
  Descriptor connected(::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (::connect(connected.get(), address.get(), address.length()) != 0) return Descriptor();
  return connected;
}

/// Runs the loop until `condition` is true, when another thread or the kernel has to act first. Gives up after ten seconds.
inline bool turn_until(TestShard& shard, const std::function<bool()>& condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  for (;;) {
    shard.poll();
    if (condition()) return true;
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::yield();
  }
}

}  // namespace router::test
