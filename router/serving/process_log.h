#pragma once

#include <optional>

#include "config/config.h"
#include "config/findings.h"
#include "router/base/log.h"

namespace router::serving {

log::Format log_format(config::LogFormat format);

/// Opens the process log of a configuration, which is not in use yet. A mistake goes to `findings`, and nothing is returned.
std::optional<log::Target> open_log(const config::Process& process, config::Findings& findings);

}  // namespace router::serving
