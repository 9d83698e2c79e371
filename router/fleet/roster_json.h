#pragma once

#include <boost/json/object.hpp>

#include "router/fleet/json_fields.h"
#include "router/fleet/roster.h"

namespace router::fleet {

/// The parts that the Lease's annotation and the frames have in common.
boost::json::object object_of(const Epoch& epoch);
boost::json::object object_of(const Protocols& protocols);
boost::json::object object_of(const Roster& roster);

void read(Fields& fields, Epoch& epoch);
void read(Fields& fields, Protocols& protocols);
absl::StatusOr<Roster> roster_from(const boost::json::object& object);

}  // namespace router::fleet
