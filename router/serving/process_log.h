#pragma once

#include <optional>

#include "config/config.h"
#include "config/findings.h"
#include "router/base/log.h"

namespace router::serving {

log::Format log_format(config::LogFormat format);

/// The process log as a configuration wants it, open and not in use yet. What is wrong is told to `findings`; then none.
std::optional<log::Target> open_log(const config::Process& process, config::Findings& findings);

}  // namespace router::serving
