#pragma once

#include <cstddef>
#include <optional>

#include "router/base/result.h"
#include "router/base/time.h"
#include "router/dispatch/held_bytes.h"
#include "router/http/head.h"

namespace router::proxy {

class Exchange;

/// The bounds of one request that is held for a first replica: in time, and in memory of the process
/// (docs/decisions/0077-requests-that-wake.md). The queue bounds their number. Lives while the request waits in the queue;
/// costs nothing if it is not held. One shard.
class Holding {
 public:
  explicit Holding(Exchange& exchange) : exchange_(exchange) {}
  Holding(const Holding&) = delete;
  Holding& operator=(const Holding&) = delete;

  /// The request is held from now on. Returns until when.
  Deadline begin();
  bool begun() const { return begun_; }
  /// Counts what the request has in memory: its head, and what has arrived of its body. Fails with waking if there is no room.
  Result<void> keep();
  /// The failure of a request whose time is over.
  static Failure in_vain();

 private:
  Exchange& exchange_;
  bool begun_ = false;
  std::size_t head_bytes_ = 0;
  std::optional<dispatch::HeldBytes::Share> share_;
};

/// The time of `Prefer: wait=N` (RFC 7240, 4.3), in which the client wants an answer. Nothing if there is none, or if it is no
/// number of seconds: a preference that cannot be read is ignored. More than a day counts as a day.
std::optional<Duration> preferred_wait(const http::Fields& fields);

}  // namespace router::proxy
