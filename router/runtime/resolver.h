#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "router/runtime/address.h"
#include "router/runtime/shard.h"

namespace router::runtime {

/// Host names to addresses, on a thread of its own that nobody waits for: getaddrinfo cannot be cancelled, and a shutdown must
/// not depend on a name server. Look-ups are made one after the other; at most kWaitingMax wait, one more fails at once.
/// Made, used and destroyed by the control thread, before the control shard ends.
class Resolver {
 public:
  static constexpr std::size_t kWaitingMax = 1024;
  /// Not empty when it is ok.
  using Addresses = absl::StatusOr<std::vector<Address>>;
  using Done = std::function<void(Addresses addresses)>;
  using LookUp = std::function<Addresses(const std::string& host, std::uint16_t port)>;

  explicit Resolver(Shard& control);
  /// For tests: `look_up` instead of the system's; called on the resolver's thread, perhaps still after the resolver is gone.
  Resolver(Shard& control, LookUp look_up);
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;
  ~Resolver();

  /// Calls `done` on the control thread, from its loop; not at all after the resolver is gone. An IP address needs no look-up.
  /// Throws std::bad_alloc, and then never calls `done`.
  void resolve(const std::string& host, std::uint16_t port, Done done);

 private:
  struct Shared;
  using Callbacks = std::map<std::uint64_t, Done>;  // by question

  class Question;

  bool wait(std::unique_ptr<Question>& question);
  Shard& control_;
  std::uint64_t last_question_ = 0;
  std::shared_ptr<Callbacks> callbacks_;  // stays on the control thread: what they hold is freed there
  std::shared_ptr<Shared> shared_;
};

}  // namespace router::runtime
