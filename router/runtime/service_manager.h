#pragma once

#include <chrono>
#include <string>
#include <string_view>

namespace router::runtime {

/// Reports the state of this process to the service manager that started it (systemd, `Type=notify`). Protocol: sd_notify(3),
/// one datagram for each message to the Unix socket in NOTIFY_SOCKET. Without that variable every call does nothing. A message
/// that cannot be sent is only logged. Made before any thread; the calls allocate nothing. Control thread.
class ServiceManager {
 public:
  /// Sends no reports.
  ServiceManager() = default;
  /// Reports to the socket in NOTIFY_SOCKET. Unsets the variable, which is meant for this process alone.
  static ServiceManager from_environment();

  /// The process listens, and its configuration is in force.
  void ready() const noexcept;
  /// The process reads its configuration again, until the next `ready`.
  void reloading() const noexcept;
  /// The process drains, for `most` at most. The manager extends its time limit for stopping to that.
  void stopping(std::chrono::milliseconds most) const noexcept;

 private:
  void send(std::string_view message) const noexcept;

  std::string socket_;  // an abstract one begins with `@`; empty: none
};

}  // namespace router::runtime
