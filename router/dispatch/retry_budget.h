#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "router/base/time.h"

namespace router::dispatch {

/// How many second attempts a deployment may be given: kPercent of the requests of the last ten seconds, rounded up, so that a
/// rare request may be tried again, and a pod that fails everything does not double the load on the others (contract, section
/// 6). Belongs to the queue's mutex.
class RetryBudget {
 public:
  static constexpr std::size_t kPercent = 20;
  static constexpr std::size_t kSeconds = 10;

  void count_request(TimePoint now);
  /// Takes one attempt out of the budget, if there is one.
  bool take(TimePoint now);

 private:
  struct Second {
    std::uint32_t requests = 0;
    std::uint32_t retries = 0;
  };
  Second& advance(TimePoint now);

  std::array<Second, kSeconds> seconds_{};
  std::int64_t newest_ = 0;  // the second that was counted last
  std::uint64_t requests_ = 0;
  std::uint64_t retries_ = 0;
};

}  // namespace router::dispatch
