#include "router/fleet/protocols.h"

namespace router::fleet {

Protocols spoken_protocols() { return {.min = 1, .max = 1}; }

}  // namespace router::fleet
