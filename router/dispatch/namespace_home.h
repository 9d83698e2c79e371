#pragma once

#include <atomic>
#include <cstdint>

namespace router::dispatch {

/// Which member of the fleet is home of a namespace, for the data path: the home has the queues of the namespace's limited
/// deployments, every other member sends their requests on. One object for each namespace, and one for each deployment without
/// a limit, which is kHere everywhere unless another deployment sets a limit for one of its pods. Shared by views and queues. A
/// router without a fleet has none (nullptr). Written on control, read on every shard.
class NamespaceHome {
 public:
  static constexpr std::int32_t kHere = -1;    // this process
  static constexpr std::int32_t kNobody = -2;  // not known now: requests wait

  /// kHere, kNobody, or the index of a peer.
  std::int32_t where() const noexcept { return where_.load(std::memory_order_acquire); }
  void set(std::int32_t where) noexcept { where_.store(where, std::memory_order_release); }

 private:
  std::atomic<std::int32_t> where_{kNobody};
};

}  // namespace router::dispatch
