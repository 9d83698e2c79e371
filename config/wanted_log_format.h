#pragma once

#include <string>

#include "config/config.h"

namespace router::config {

/// `log.format` of a router.yaml that may hold any mistake: in which form to tell of these. Text where it cannot be known, as
/// in a file that is no YAML. Throws nothing but bad_alloc.
LogFormat wanted_log_format(const std::string& router_yaml);

}  // namespace router::config
