#pragma once

#include <absl/status/statusor.h>
#include <sys/types.h>

#include <cstdint>
#include <string>
#include <utility>

#include "router/runtime/accept.h"

namespace router::admin {

using runtime::PortUse;

/// Connections that the kernel keeps before they are accepted; the machine may allow fewer (net.core.somaxconn).
inline constexpr int kBacklog = 4096;

/// A listening socket for operators, TCP or Unix. The destructor closes it and removes its path. Move-only.
class Listening {
 public:
  /// `address` is `host:port`, `[v6]:port` (port 0: any free one) or `unix:/path`. Only our user may use a Unix socket (0600);
  /// a stale one, on which no process listens, is removed first. May query the resolver about `host`, and block. The error
  /// names the address.
  static absl::StatusOr<Listening> open(const std::string& address, PortUse use = PortUse::kMustBeFree);
  /// Whether `open` failed because the host's name cannot be resolved now: no mistake, since it may change by itself.
  static bool is_unresolved(const absl::Status& status);

  Listening(Listening&& other) noexcept
      : descriptor_(std::exchange(other.descriptor_, -1)),
        path_(std::exchange(other.path_, {})),
        device_(other.device_),
        inode_(other.inode_) {}
  Listening& operator=(Listening&&) = delete;
  ~Listening();

  int descriptor() const { return descriptor_; }
  /// 0 for a Unix socket.
  std::uint16_t port() const;

 private:
  explicit Listening(int descriptor) : descriptor_(descriptor) {}
  static absl::StatusOr<Listening> open_tcp(const std::string& address, PortUse use);
  static absl::StatusOr<Listening> open_unix(const std::string& path);

  int descriptor_ = -1;
  std::string path_;  // of a Unix socket; device and inode are ours: another's socket is not removed
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

}  // namespace router::admin
