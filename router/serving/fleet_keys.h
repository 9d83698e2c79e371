#pragma once

#include <absl/status/statusor.h>

#include <string>

#include "tls/psk.h"

namespace router::serving {

/// The keys of the fleet in a file. Fails with `file: what is wrong`, which shows nothing of a key. Control thread.
absl::StatusOr<tls::PskKeys> read_fleet_keys(const std::string& file);

}  // namespace router::serving
