#pragma once

#include "router/base/result.h"
#include "router/base/time.h"

namespace router::wire {

/// For whom an exchange waits: asked whenever the exchange is woken while it waits for something else.
class Cancellation {
 public:
  /// Success while the answer is still wanted; else why not (client_closed, draining).
  virtual Result<void> still_wanted() = 0;
  /// Success while a slot may still be taken for it: no longer when the drain's grace is over, whatever is granted then.
  virtual Result<void> may_take_slot() const = 0;
  /// When to ask again although nothing woke the exchange: kNever, unless the client's leaving could not wake it.
  virtual Deadline ask_again(TimePoint now) const = 0;

 protected:
  ~Cancellation() = default;
};

}  // namespace router::wire
