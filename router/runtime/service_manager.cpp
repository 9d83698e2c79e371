#include "router/runtime/service_manager.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include "router/base/log.h"
#include "router/runtime/descriptor.h"

namespace router::runtime {
namespace {

constexpr timeval kPatience{0, 100'000};  // for a manager that does not read: the control thread waits so long at most

/// The time of the reload. systemd compares it with the time at which it requested the reload (sd_notify(3), MONOTONIC_USEC).
long long monotonic_us() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<long long>(now.tv_sec) * 1'000'000 + now.tv_nsec / 1'000;
}

bool send_to(const std::string& path, std::string_view message) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return errno = ENAMETOOLONG, false;
  std::memcpy(address.sun_path, path.data(), path.size());
  if (path.front() == '@') address.sun_path[0] = '\0';
  const Descriptor socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket.is_open()) return false;
  ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &kPatience, sizeof kPatience);
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
  return ::sendto(socket.get(), message.data(), message.size(), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&address),
                  length) >= 0;
}

}  // namespace

ServiceManager ServiceManager::from_environment() {
  ServiceManager manager;
  const char* socket = std::getenv("NOTIFY_SOCKET");
  // Other kinds (vsock:) are for the service manager of a virtual machine itself.
  if (socket != nullptr && (*socket == '/' || *socket == '@')) manager.socket_ = socket;
  ::unsetenv("NOTIFY_SOCKET");
  return manager;
}

void ServiceManager::ready() const noexcept { send("READY=1"); }

void ServiceManager::reloading() const noexcept {
  char message[64];
  const int size = std::snprintf(message, sizeof message, "RELOADING=1\nMONOTONIC_USEC=%lld", monotonic_us());
  send({message, static_cast<std::size_t>(size)});
}

void ServiceManager::stopping(std::chrono::milliseconds most) const noexcept {
  char message[64];
  const auto us = static_cast<long long>(std::chrono::microseconds(most).count());
  const int size = std::snprintf(message, sizeof message, "STOPPING=1\nEXTEND_TIMEOUT_USEC=%lld", us);
  send({message, static_cast<std::size_t>(size)});
}

void ServiceManager::send(std::string_view message) const noexcept {
  if (socket_.empty() || send_to(socket_, message)) return;
  const int error = errno;
  log::write(log::Level::kWarning,
             {"cannot send `", message.substr(0, message.find('\n')), "` to the service manager: ", std::strerror(error)});
}

}  // namespace router::runtime
