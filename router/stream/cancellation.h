#pragma once

#include "router/base/result.h"
#include "router/base/time.h"

namespace router::stream {

/// Whether the client still needs an exchange. The exchange checks it each time it is woken while it waits for something else.
class Cancellation {
 public:
  /// Success while the answer is still wanted; else the reason why not (client_closed, draining).
  virtual Result<void> still_wanted() = 0;
  /// Success while the exchange may use a slot. Fails once the drain's grace is over, even if a slot was granted.
  virtual Result<void> may_take_slot() const = 0;
  /// When to check again although nothing has woken the exchange. kNever if the end of the client's connection wakes it.
  virtual Deadline ask_again(TimePoint now) const = 0;

 protected:
  ~Cancellation() = default;
};

}  // namespace router::stream
