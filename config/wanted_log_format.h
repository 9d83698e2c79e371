#pragma once

#include <string>

#include "config/config.h"

namespace router::config {

/// Reads `log.format` from a router.yaml that may contain mistakes, to choose the format in which they are logged. Text if the
/// format cannot be read, for example because the file is not YAML. Throws only bad_alloc.
LogFormat wanted_log_format(const std::string& router_yaml);

}  // namespace router::config
