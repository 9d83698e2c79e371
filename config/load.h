#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <string>

#include "config/config.h"

namespace router::config {

/// Reads router.yaml and every endpoint and deployment file that it names. On failure the message holds all mistakes, one a
/// line: `file:line: key.path: what is wrong, what is allowed`. Reads files, opens no socket. Any thread.
absl::StatusOr<Config> load(const std::string& router_yaml);

}  // namespace router::config
