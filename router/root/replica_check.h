#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

#include "config/config.h"

namespace router::root {

/// Bounds of a check. What is not done when a time is over is reported as `not ok`.
struct ReplicaCheckOptions {
  std::size_t at_once = 64;                   // listed replicas that are checked at the same time
  std::chrono::seconds look_up_max{5};        // for one name
  std::chrono::seconds answer_max{10};        // for one address: the deployment's readiness_probe.timeout, but at most this
  std::chrono::seconds all_together_max{60};  // for the whole check
};

/// The result of a check: a line for each address, in the order of the files: `ok: iris/blue HOST:PORT: …` or `not ok: …: why`.
/// The lines show no key, no query and no content of a file.
struct ReplicaCheck {
  std::vector<std::string> lines;
  std::size_t asked = 0;
  std::size_t not_ready = 0;  // of `asked`; a deployment without replicas counts as one
};

/// `--check --probe`: looks up the names of listed replicas, connects as the router would, with TLS if the deployment says so,
/// and requests the readiness route once. Sends nothing to a server whose certificate is not checked: with `verify: false` it
/// only tries to connect. Of a name, it checks the addresses that the router would use first (discovery/name_addresses.h). Runs
/// its own event loop on the calling thread until it is done, at most `all_together_max`.
ReplicaCheck check_replicas(const std::vector<config::Endpoint>& endpoints, const ReplicaCheckOptions& options = {});

}  // namespace router::root
