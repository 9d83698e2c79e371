#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <functional>
#include <string>
#include <vector>

#include "config/config.h"

namespace router::config {

/// Judges what a configuration names and this folder knows nothing of: certificates, keys, authorities. Is given all that could
/// be read, also if there are mistakes in it, so that the operator sees everything at once; a name that was given wrongly is
/// empty.
using Examine =
    std::function<void(const Process& process, const std::vector<const Deployment*>& deployments, Findings& findings)>;

/// Reads router.yaml, every endpoint and deployment file that it names, and the overlays beside them. On failure the message holds all mistakes, one a
/// line: `file:line: key.path: what is wrong, what is allowed`; ResourceExhausted: memory was short. Never throws. Reads files,
/// opens no socket. Any thread, as long as nobody changes the environment. `files`, if given, becomes the list that
/// Config::files is; on failure too, so that the mending of a file is noticed.
absl::StatusOr<Config> load(const std::string& router_yaml, std::vector<std::string>* files = nullptr,
                            const Examine& examine = {});

}  // namespace router::config
