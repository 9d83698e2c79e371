#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

#include "config/config.h"

namespace router::root {

/// Bounds of a check; what is not done when a time is over is told as not known to work.
struct ReplicaCheckOptions {
  std::size_t at_once = 64;                   // listed replicas that are asked at the same time
  std::chrono::seconds look_up_max{5};        // of one name
  std::chrono::seconds answer_max{10};        // of one address: the deployment's readiness_probe.timeout, but no more
  std::chrono::seconds all_together_max{60};  // of everything
};

/// What a check of the replicas came to: a line for each address, in the order of the files: `ok: iris/blue HOST:PORT: …` or
/// `not ok: …: why`. They name no key, no query and no content of a file.
struct ReplicaCheck {
  std::vector<std::string> lines;
  std::size_t asked = 0;
  std::size_t not_ready = 0;  // of those; a deployment without replicas counts as one
};

/// `--check --probe`: looks the names of listed replicas up, connects as the router would, with TLS where the deployment says
/// so, and asks the readiness route once. Nothing is sent to a server whose certificate is not checked: with `verify: false`
/// the connection alone is tried. Of a name, the addresses that the router would use first are asked
/// (discovery/name_addresses.h). Runs an event loop of its own on the calling thread until it is done, at most
/// `all_together_max`.
ReplicaCheck check_replicas(const std::vector<config::Endpoint>& endpoints, const ReplicaCheckOptions& options = {});

}  // namespace router::root
