#include "router/runtime/cancellation.h"

namespace router::runtime {

void CancelSource::cancel() noexcept {
  if (std::exchange(cancelled_, true)) return;
  waking_.cancelled = shared_from_this();
  shard().send(waking_);
}

}  // namespace router::runtime
