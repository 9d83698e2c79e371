#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "router/base/time.h"

namespace router::dispatch {

/// The number of second attempts that a deployment may make: kPercent of the requests of the last kSeconds seconds, rounded up.
/// A rare request may be tried again, and a pod that fails each request does not double the load on the others (contract,
/// section 6). Protected by the queue's mutex.
class RetryBudget {
 public:
  static constexpr std::size_t kPercent = 20;
  static constexpr std::size_t kSeconds = 10;

  void count_request(TimePoint now);
  /// Takes one attempt out of the budget. False if none is left.
  bool take(TimePoint now);

 private:
  struct Second {
    std::uint32_t requests = 0;
    std::uint32_t retries = 0;
  };
  Second& advance(TimePoint now);

  std::array<Second, kSeconds> seconds_{};
  std::int64_t newest_ = 0;  // the latest second of the window
  std::uint64_t requests_ = 0;
  std::uint64_t retries_ = 0;
};

}  // namespace router::dispatch
