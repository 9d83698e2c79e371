#pragma once

#include <exception>

namespace router::runtime {

/// The loop's boundary: what flies out of a handler, a timer or posted work ends that one thing. Told in the log; where memory
/// is short it waits for a moment.
void contain(const std::exception& error) noexcept;

}  // namespace router::runtime
