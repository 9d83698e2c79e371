#pragma once

namespace router::runtime {

/// 4 MB that are reserved for the moment at which an allocation fails. They are freed then, so that code that must not fail
/// (giving back a slot, a timer, a message to another shard) still finds memory, while code that checks `memory_is_short`
/// first (acceptors, buffers) allocates nothing (decision 0011). One reserve for the process; any thread.

/// Allocates the reserve. Called once, at the start.
void keep_memory_reserve();
/// Whether the reserve was used and cannot be allocated again yet; tries to. Costs one atomic load while the reserve is there.
bool memory_is_short();

}  // namespace router::runtime
