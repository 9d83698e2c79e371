#pragma once

#include <string>

#include "config/config.h"
#include "router/fleet/options.h"

namespace router::serving {

/// Who this process is in its fleet: another one after each start. `host_name` is the Pod's name in Kubernetes; it only makes
/// the id readable, which is unique by 64 random bits. With fixed peers the advertised address stands for the Pod.
fleet::Identity make_identity(const config::Fleet& fleet, const std::string& host_name);

}  // namespace router::serving
