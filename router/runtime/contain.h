#pragma once

#include <exception>
#include <new>

namespace router::runtime {

/// The loop's boundary: what flies out of a handler, a timer or posted work ends that one thing. Told in the log; where memory
/// is short it waits for a moment.
void contain(const std::exception& error) noexcept;

/// For a step that must not be left undone: repeats it until it finds memory. It must be one that may be taken again after it
/// has failed half-way. Any other exception is our bug, and is contained.
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
