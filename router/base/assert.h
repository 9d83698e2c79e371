#pragma once

#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace router {

[[noreturn]] inline void assertion_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "%s:%d: our bug: %s\n", file, line, condition);
  std::abort();
}

}  // namespace router

/// Asserts an invariant of our own code. A build with checks aborts the process if it does not hold; a release compiles the
/// check out.
#ifdef ROUTER_CHECKS
#define ROUTER_ASSERT(condition) ((condition) ? void() : ::router::assertion_failed(#condition, __FILE__, __LINE__))
#else
#define ROUTER_ASSERT(condition) static_cast<void>(sizeof((condition) ? 1 : 0))
#endif

/// A bug that is planted for the fuzz targets, one in each parser: `condition` is true for an input that a slightly wrong
/// parser would accept. If this file's name ends with the environment variable ROUTER_PLANTED_FILE, such an input aborts the
/// process; tests/fuzz/run.sh --planted proves in this way that the target finds the bug. Other builds compile it out.
#ifdef ROUTER_PLANT_BUGS
namespace router {
inline bool has_planted_bug(std::string_view file) {
  static const char* const chosen = std::getenv("ROUTER_PLANTED_FILE");
  return chosen != nullptr && file.ends_with(chosen);
}
}  // namespace router
#define ROUTER_PLANT(condition)                                                                                                \
  (::router::has_planted_bug(__FILE__) && (condition) ? ::router::assertion_failed("planted: " #condition, __FILE__, __LINE__) \
                                                      : void())
#else
#define ROUTER_PLANT(condition) static_cast<void>(sizeof((condition) ? 1 : 0))
#endif
