#include "router/admin/listening.h"

#include <absl/strings/str_cat.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <optional>
#include <string_view>

#include "router/base/host_port.h"
#include "router/runtime/address.h"
#include "router/runtime/descriptor.h"

namespace router::admin {
namespace {

constexpr std::string_view kUnixPrefix = "unix:";
constexpr const char* kUnresolved = "inference-router/unresolved";  // the payload that marks such a status

absl::Status cannot_listen(const std::string& address, std::string_view what, int error) {
  return absl::ErrnoToStatus(error,
                             absl::StrCat("cannot listen on ", address, ": ", absl::string_view(what.data(), what.size())));
}

/// Whether no process listens on the socket any more: its process has ended without removing it.
bool is_stale(const sockaddr_un& name) {
  const int probe = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (probe < 0) return false;
  const bool refused = ::connect(probe, reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0 && errno == ECONNREFUSED;
  ::close(probe);
  return refused;
}

absl::Status remove_stale(const std::string& path, const sockaddr_un& name) {
  struct stat about {};
  if (::lstat(path.c_str(), &about) != 0) return absl::OkStatus();  // nothing there, or `bind` reports it
  if (!S_ISSOCK(about.st_mode)) {
    return absl::AlreadyExistsError(absl::StrCat("cannot listen on unix:", path, ": the path exists and is no socket"));
  }
  if (!is_stale(name)) {
    return absl::AlreadyExistsError(absl::StrCat("cannot listen on unix:", path, ": another process listens there"));
  }
  if (::unlink(path.c_str()) != 0) return cannot_listen("unix:" + path, "removing the stale socket", errno);
  return absl::OkStatus();
}

absl::StatusOr<HostPort> split(const std::string& address) {
  const std::optional<HostPort> parts = split_host_port(address);
  if (!parts || parts->host.empty() || !parts->port || !port_number(*parts->port)) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot listen on '", address, "': an address is host:port, [v6]:port or unix:/path"));
  }
  return *parts;
}

absl::StatusOr<runtime::Descriptor> bind_to(const addrinfo& where, const std::string& address, bool shared) {
  runtime::Descriptor descriptor(::socket(where.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!descriptor.is_open()) return cannot_listen(address, "socket", errno);
  const int on = 1;
  ::setsockopt(descriptor.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (shared) ::setsockopt(descriptor.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
  if (::bind(descriptor.get(), where.ai_addr, where.ai_addrlen) != 0) return cannot_listen(address, "bind", errno);
  return descriptor;
}

}  // namespace

absl::StatusOr<Listening> Listening::open(const std::string& address, PortUse use) {
  if (address.rfind(kUnixPrefix, 0) == 0) return open_unix(address.substr(kUnixPrefix.size()));
  return open_tcp(address, use);
}

bool Listening::is_unresolved(const absl::Status& status) { return status.GetPayload(kUnresolved).has_value(); }

absl::StatusOr<Listening> Listening::open_tcp(const std::string& address, PortUse use) {
  const absl::StatusOr<HostPort> parts = split(address);
  if (!parts.ok()) return parts.status();
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const std::string host(parts->host);
  const std::string port(*parts->port);
  if (const int error = ::getaddrinfo(host.c_str(), port.c_str(), &hints, &found); error != 0) {
    absl::Status unresolved = absl::UnavailableError(absl::StrCat("cannot listen on ", address, ": ", ::gai_strerror(error)));
    unresolved.SetPayload(kUnresolved, absl::Cord());
    return unresolved;
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, &::freeaddrinfo);
  // Two processes must not share an operators' port unnoticed, so it is first bound without SO_REUSEPORT. Then it is bound
  // with it, for the time in which this process moves to another address of the same port.
  if (use == PortUse::kMustBeFree) {
    if (absl::Status alone = bind_to(*found, address, false).status(); !alone.ok()) return alone;
  }
  absl::StatusOr<runtime::Descriptor> bound = bind_to(*found, address, true);
  if (!bound.ok()) return bound.status();
  Listening listening(bound->release());
  if (::listen(listening.descriptor_, kBacklog) != 0) return cannot_listen(address, "listen", errno);
  return listening;
}

absl::StatusOr<Listening> Listening::open_unix(const std::string& path) {
  const std::string address = "unix:" + path;
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  if (path.empty() || path.front() != '/' || path.size() >= sizeof name.sun_path) {
    return absl::InvalidArgumentError(absl::StrCat("cannot listen on ", address, ": the path must be absolute and at most ",
                                                   sizeof name.sun_path - 1, " bytes long"));
  }
  path.copy(name.sun_path, path.size());
  if (absl::Status removed = remove_stale(path, name); !removed.ok()) return removed;
  Listening listening(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (listening.descriptor_ < 0) return cannot_listen(address, "socket", errno);
  if (::bind(listening.descriptor_, reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0) {
    return cannot_listen(address, "bind", errno);
  }
  listening.path_ = path;
  struct stat about {};
  if (::lstat(path.c_str(), &about) != 0) return cannot_listen(address, "stat", errno);
  listening.device_ = about.st_dev;
  listening.inode_ = about.st_ino;
  // No client can connect between bind and listen, so the mode is right for every connection.
  if (::chmod(path.c_str(), 0600) != 0) return cannot_listen(address, "chmod", errno);
  if (::listen(listening.descriptor_, kBacklog) != 0) return cannot_listen(address, "listen", errno);
  return listening;
}

Listening::~Listening() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  struct stat about {};
  if (path_.empty() || ::lstat(path_.c_str(), &about) != 0) return;
  if (about.st_dev == device_ && about.st_ino == inode_) ::unlink(path_.c_str());
}

std::uint16_t Listening::port() const {
  sockaddr_storage name{};
  socklen_t length = sizeof name;
  if (::getsockname(descriptor_, reinterpret_cast<sockaddr*>(&name), &length) != 0 || name.ss_family == AF_UNIX) return 0;
  return runtime::Address::from(reinterpret_cast<const sockaddr*>(&name), length).port();
}

}  // namespace router::admin
