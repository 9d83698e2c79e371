#pragma once

#include <cstdint>

#include "router/base/time.h"

namespace router::dispatch {

/// What an exchange has learned about its replica; counted when its held slot is given back.
struct ReplicaReport {
  enum class Outcome : std::uint8_t {
    kNone,       // nothing: the client left, or the failure was not the replica's
    kSucceeded,  // it answered to the end, whatever the status
    kFailed,     // it could not be reached, broke off, or was silent for too long
    kRefused,    // its kernel refused the connection: nobody can reach it, and the exchange has not
  };
  Outcome outcome = Outcome::kNone;
  /// It has asked to be left alone until then (503 or 429 with Retry-After).
  TimePoint sheds_until{};
};

}  // namespace router::dispatch
