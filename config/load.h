#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <functional>
#include <string>
#include <vector>

#include "config/config.h"

namespace router::config {

/// Checks what a configuration names and this folder cannot judge: certificates, keys, authorities. Gets everything that could
/// be read, even if there are mistakes, so that the operator sees everything at once. A path with a mistake is empty.
using Examine =
    std::function<void(const Process& process, const std::vector<const Deployment*>& deployments, Findings& findings)>;

/// Reads router.yaml, every endpoint and deployment file that it names, and the overlays beside them. On failure the message
/// holds all mistakes, one per line: `file:line: key.path: what is wrong, what is allowed`. ResourceExhausted: memory was
/// short. Never throws. Reads files, opens no socket. Any thread, as long as no thread changes the environment. `files`, if
/// given, gets the list that becomes Config::files, on failure too, so that the correction of a file is noticed.
absl::StatusOr<Config> load(const std::string& router_yaml, std::vector<std::string>* files = nullptr,
                            const Examine& examine = {});

}  // namespace router::config
