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

/// States what must hold if our own code is right. Ends the process loudly in builds with checks; nothing in a release.
#ifdef ROUTER_CHECKS
#define ROUTER_ASSERT(condition) ((condition) ? void() : ::router::assertion_failed(#condition, __FILE__, __LINE__))
#else
#define ROUTER_ASSERT(condition) static_cast<void>(sizeof((condition) ? 1 : 0))
#endif

/// A bug planted for the fuzz targets, one in each parser: `condition` is an input that a slightly wrong parser would accept.
/// Taking it ends the process, if the environment's ROUTER_PLANTED_FILE ends this file's name; tests/fuzz/run.sh --planted
/// shows so that the target finds it. Nothing at all in other builds.
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
