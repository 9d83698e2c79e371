#pragma once

#include <cstdio>
#include <cstdlib>

namespace router {

[[noreturn]] inline void assertion_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "%s:%d: our bug: %s\n", file, line, condition);
  std::abort();
}

}  // namespace router

/// States what must hold if our own code is right. Ends the process loudly in builds with checks; nothing in a release.
#ifdef ROUTER_CHECKS
#define ROUTER_ASSERT(condition) ((condition) ? void() : ::router::assertion_failed(#condition, __FILE__, __LINE__))
#else
#define ROUTER_ASSERT(condition) static_cast<void>(sizeof((condition) ? 1 : 0))
#endif
