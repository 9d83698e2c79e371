#pragma once

#include <cstdint>
#include <string_view>

namespace router::fleet {

/// How much the member with this key is preferred as home of a namespace (rendezvous hashing): the candidate with the highest
/// weight is home. Every member computes the same, and a member that comes or goes moves only its own namespaces. It is part
/// of the protocol: a change needs a new protocol version.
std::uint64_t home_weight(std::string_view member_key, std::string_view name_space);

}  // namespace router::fleet
