#pragma once

#include <chrono>
#include <string>
#include <string_view>

namespace router::runtime {

/// Tells the service manager that started this process (systemd, `Type=notify`) how it is: the protocol of sd_notify(3), one
/// datagram a message to the Unix socket in NOTIFY_SOCKET. Without that variable every call does nothing, and costs a
/// comparison. A message that cannot be sent is logged, no more. Made before any thread; the calls allocate nothing. Control
/// thread.
class ServiceManager {
 public:
  /// Nobody is told.
  ServiceManager() = default;
  /// Whoever NOTIFY_SOCKET names. It is unset: it is meant for this process alone.
  static ServiceManager from_environment();

  /// It listens, and the configuration is in force.
  void ready() const noexcept;
  /// It reads its configuration again, until it is `ready` again.
  void reloading() const noexcept;
  /// It drains, which takes so long at most: the manager's own time limit for stopping is extended to that.
  void stopping(std::chrono::milliseconds most) const noexcept;

 private:
  void send(std::string_view message) const noexcept;

  std::string socket_;  // `@` begins the name of an abstract one; empty: none
};

}  // namespace router::runtime
