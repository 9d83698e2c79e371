#pragma once

#include "config/config.h"
#include "config/reader.h"

namespace router::config {

/// router.yaml, the process's own settings. docs/configuration.md lists its keys.
Process read_process(MapReader document);

}  // namespace router::config
