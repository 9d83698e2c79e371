#pragma once

#include <exception>
#include <new>

namespace router::runtime {

/// Logs an exception that a handler, a timer or posted work has thrown to the event loop. It ends only that work. When memory
/// is short, this also sleeps for 1 ms.
void contain(const std::exception& error) noexcept;

/// Runs a step that must not be skipped, again and again until it finds memory. The step must allow a repetition after it has
/// failed half-way. Any other exception is our bug; it is logged, and the step is not repeated.
template <class Step>
void insist(Step step) noexcept {
  for (;;) {
    try {
      step();
      return;
    } catch (const std::bad_alloc& error) {
      contain(error);
    } catch (const std::exception& error) {
      return contain(error);
    }
  }
}

}  // namespace router::runtime
