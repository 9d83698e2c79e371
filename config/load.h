#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <string>
#include <vector>

#include "config/config.h"

namespace router::config {

/// Reads router.yaml and every endpoint and deployment file that it names. On failure the message holds all mistakes, one a
/// line: `file:line: key.path: what is wrong, what is allowed`. Never throws. Reads files, opens no socket. Any thread, as long
/// as nobody changes the environment.
/// `files`, if given, becomes the list that Config::files is; on failure too, so that the mending of a file is noticed.
absl::StatusOr<Config> load(const std::string& router_yaml, std::vector<std::string>* files = nullptr);

}  // namespace router::config
