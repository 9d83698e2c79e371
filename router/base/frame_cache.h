#pragma once

#include <cstddef>

namespace router {

/// Allocates and frees coroutine frames and other objects that each request creates. Freed blocks are kept for each thread and
/// size class, so that in the steady state a request allocates nothing from the heap. At most kFramesKept blocks of a class are
/// kept. Sanitizer builds use only the heap, so that they find a use of a coroutine frame after its end.
void* allocate_frame(std::size_t size);
void free_frame(void* frame, std::size_t size) noexcept;

}  // namespace router
