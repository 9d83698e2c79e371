#include "router/runtime/contain.h"

#include <chrono>
#include <new>
#include <string>
#include <thread>

#include "router/base/log.h"

namespace router::runtime {

void contain(const std::exception& error) noexcept {
  constexpr std::chrono::milliseconds kMoment{1};
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr) {
    log::error("memory is short: a step of the event loop failed");
    std::this_thread::sleep_for(kMoment);  // other threads may free memory; and a repetition must not become a busy loop
    return;
  }
  try {
    log::error(std::string("our bug: an exception reached the loop: ") + error.what());
  } catch (const std::bad_alloc&) {
    log::error("our bug: an exception reached the loop");
  }
}

}  // namespace router::runtime
