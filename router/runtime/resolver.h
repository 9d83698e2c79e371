#pragma once

#include <absl/status/statusor.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "router/runtime/address.h"
#include "router/runtime/shard.h"

namespace router::runtime {

/// Host names to addresses, on a thread of its own that nobody waits for: getaddrinfo cannot be cancelled, and a shutdown must
/// not depend on a name server. At most kWaitingMax look-ups wait; one more fails at once. Used from the control thread.
class Resolver {
 public:
  static constexpr std::size_t kWaitingMax = 1024;
  using Done = std::function<void(absl::StatusOr<std::vector<Address>> addresses)>;

  explicit Resolver(Shard& control);
  ~Resolver();

  /// Calls `done` on the control thread, from its loop; not at all after the resolver is gone. An IP address needs no look-up.
  void resolve(const std::string& host, std::uint16_t port, Done done);

 private:
  struct Shared;
  Shard& control_;
  std::shared_ptr<Shared> shared_;
};

}  // namespace router::runtime
