#pragma once

namespace router::runtime {

/// Four megabytes set aside for the moment at which an allocation fails: they are given up then, so that what must not fail
/// (a slot given back, a timer, a message to another shard) still finds memory, while whatever asks `memory_is_short` first
/// (acceptors, buffers) does without (decision 0011). Of the process; any thread.

/// Once, at the start.
void keep_memory_reserve();
/// Whether the reserve has been used and cannot be put back yet; tries to. Costs one atomic load while all is well.
bool memory_is_short();

}  // namespace router::runtime
