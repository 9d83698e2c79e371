#pragma once

#include <cstdint>

#include "router/base/time.h"

namespace router::dispatch {

/// What an exchange has learned about its replica. The queue applies it when the held slot is given back.
struct ReplicaReport {
  enum class Outcome : std::uint8_t {
    kNone,       // nothing: the client left, or the failure was not the replica's
    kSucceeded,  // it answered to the end, whatever the status
    kFailed,     // it could not be reached, broke the connection, or did not answer in time
    kRefused,    // its kernel refused the connection: no exchange can reach it
  };
  Outcome outcome = Outcome::kNone;
  /// The end of the Retry-After time that it sent with a 503 or 429.
  TimePoint sheds_until{};
};

}  // namespace router::dispatch
