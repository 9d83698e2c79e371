#pragma once

#include "router/base/failure.h"

namespace router::http {

/// What is wrong with a message, before it is known whose message it is. False when nothing is.
struct Mistake {
  const char* cause = nullptr;
  Reason reason = Reason::kBadRequest;
  explicit operator bool() const { return cause != nullptr; }
};

}  // namespace router::http
