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

/// Resolves host names on a thread of its own, which is never joined: getaddrinfo cannot be cancelled, and a shutdown must not
/// depend on a name server. Look-ups are made one after the other; at most kWaitingMax wait, and one more fails at once. Made,
/// used and destroyed by the control thread, before the control shard ends.
class Resolver {
 public:
  static constexpr std::size_t kWaitingMax = 1024;
  /// If it is ok, at least one address.
  using Addresses = absl::StatusOr<std::vector<Address>>;
  using Done = std::function<void(Addresses addresses)>;
  using LookUp = std::function<Addresses(const std::string& host, std::uint16_t port)>;

  explicit Resolver(Shard& control);
  /// For tests: `look_up` replaces getaddrinfo. The resolver's thread calls it, perhaps even after the resolver was destroyed.
  Resolver(Shard& control, LookUp look_up);
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;
  ~Resolver();

  /// Calls `done` on the control thread, from its event loop, but not after the resolver was destroyed. An IP address needs no
  /// look-up. If it throws std::bad_alloc, `done` is never called.
  void resolve(const std::string& host, std::uint16_t port, Done done);

 private:
  struct Shared;
  using Callbacks = std::map<std::uint64_t, Done>;  // by number of the question

  class Question;

  bool wait(std::unique_ptr<Question>& question);
  Shard& control_;
  std::uint64_t last_question_ = 0;
  std::shared_ptr<Callbacks> callbacks_;  // owned by the control thread, so that the callbacks are freed there
  std::shared_ptr<Shared> shared_;
};

}  // namespace router::runtime
