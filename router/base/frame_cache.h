#pragma once

#include <cstddef>

namespace router {

/// Memory of coroutine frames and of other objects that each request makes, kept per thread and size class so that a request
/// allocates nothing in the steady state. At most kFramesKept frames a class are kept; the rest goes back to the heap.
/// Sanitizer builds use the heap alone, so that a use after the end of a coroutine is found.
void* allocate_frame(std::size_t size);
void free_frame(void* frame, std::size_t size) noexcept;

}  // namespace router
