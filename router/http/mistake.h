#pragma once

#include "router/base/failure.h"

namespace router::http {

/// A mistake in a message, in code that does not know whether the client or the pod sent it. Converts to false if there is
/// none.
struct Mistake {
  const char* cause = nullptr;
  Reason reason = Reason::kBadRequest;
  explicit operator bool() const { return cause != nullptr; }
};

}  // namespace router::http
