#pragma once

#include "router/fleet/roster.h"

namespace router::fleet {

/// The versions of the protocol between members that this program speaks. A version that changes the meaning of a frame raises
/// both ends; one that adds fields that may be ignored raises the upper end only. The tests link programs with other versions.
Protocols spoken_protocols();

}  // namespace router::fleet
