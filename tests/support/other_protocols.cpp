#include "router/fleet/protocols.h"

// In place of router/fleet/protocols.cpp: the router as a later version would be, for tests/fleet/test_versions.py.
namespace router::fleet {

Protocols spoken_protocols() { return {.min = PROTOCOL_MIN, .max = PROTOCOL_MAX}; }

}  // namespace router::fleet
