#include "router/runtime/inherited_sockets.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <utility>

namespace router::runtime {
namespace {

constexpr int kFirst = 3;    // SD_LISTEN_FDS_START
constexpr int kMost = 4096;  // a larger number in LISTEN_FDS is a mistake
constexpr const char* kVariables[] = {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"};

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

int option_of(int descriptor, int option) {
  int value = 0;
  socklen_t length = sizeof value;
  return ::getsockopt(descriptor, SOL_SOCKET, option, &value, &length) == 0 ? value : -1;
}

/// The address of a listening TCP socket; nothing if the descriptor is anything else.
std::optional<Address> listening_address(int descriptor) {
  if (option_of(descriptor, SO_ACCEPTCONN) != 1 || option_of(descriptor, SO_TYPE) != SOCK_STREAM) return std::nullopt;
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  if (::getsockname(descriptor, reinterpret_cast<sockaddr*>(&storage), &length) != 0) return std::nullopt;
  if (storage.ss_family != AF_INET && storage.ss_family != AF_INET6) return std::nullopt;
  return Address::from(reinterpret_cast<const sockaddr*>(&storage), length);
}

}  // namespace

absl::StatusOr<InheritedSockets> InheritedSockets::from_environment() {
  const std::string process = variable("LISTEN_PID");
  const std::string count = variable("LISTEN_FDS");
  const std::vector<std::string> names = absl::StrSplit(variable("LISTEN_FDNAMES"), ':');
  for (const char* each : kVariables) ::unsetenv(each);
  InheritedSockets inherited;
  int pid = 0;
  if (!absl::SimpleAtoi(process, &pid) || pid != ::getpid()) return inherited;  // meant for another process
  int sockets = 0;
  if (!absl::SimpleAtoi(count, &sockets) || sockets < 0 || sockets > kMost) {
    return absl::InvalidArgumentError(absl::StrCat("LISTEN_FDS is `", count, "`, which is not a valid number of sockets"));
  }
  for (int i = 0; i < sockets; ++i) {
    const int descriptor = kFirst + i;
    const std::string name = static_cast<std::size_t>(i) < names.size() ? names[i] : "";
    const std::optional<Address> address = listening_address(descriptor);
    if (!address) {
      return absl::InvalidArgumentError(
          absl::StrCat("descriptor ", descriptor, name.empty() ? "" : ", `", name, name.empty() ? "" : "`,",
                       " was passed to this process (LISTEN_FDS) and is not a listening TCP socket"));
    }
    ListeningSocket listening{Descriptor(descriptor)};
    prepare_to_accept(descriptor);
    inherited.sockets_.push_back({*address, name, std::move(listening)});
  }
  return inherited;
}

bool InheritedSockets::has(const Address& address) const {
  return std::any_of(sockets_.begin(), sockets_.end(), [&](const Socket& each) { return each.address == address; });
}

std::vector<ListeningSocket> InheritedSockets::shared_out(const Address& address, std::size_t shards) const {
  std::vector<int> passed;
  for (const Socket& each : sockets_) {
    if (each.address == address) passed.push_back(each.listening.descriptor());
  }
  std::vector<ListeningSocket> shared;
  for (std::size_t i = 0; i < std::max(shards, passed.size()); ++i) {
    Descriptor duplicate(::fcntl(passed[i % passed.size()], F_DUPFD_CLOEXEC, 0));
    if (!duplicate.is_open()) return {};
    shared.emplace_back(std::move(duplicate));
  }
  return shared;
}

}  // namespace router::runtime
