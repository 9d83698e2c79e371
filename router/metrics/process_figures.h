#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "router/base/time.h"
#include "router/metrics/process_usage.h"

namespace router::metrics {

/// How often replicas of a deployment went out, since the process began.
struct Outages {
  std::uint64_t ejections = 0;
  std::uint64_t refusals = 0;
};

/// What one deployment looks like at the moment of a scrape.
struct DeploymentFigures {
  std::string endpoint;
  std::string deployment;
  std::uint64_t queue_length = 0;
  std::uint64_t slots_in_use = 0;
  std::uint64_t slots = 0;
  std::uint64_t replicas_ready = 0;
  std::uint64_t replicas_not_ready = 0;
  std::uint64_t replicas_ejected = 0;
  std::uint64_t replicas_refusing = 0;
  std::uint64_t replicas_terminating = 0;
  Outages outages{};
};

/// What one replica looks like at the moment of a scrape.
struct ReplicaFigures {
  std::string endpoint;
  std::string deployment;
  std::string replica;             // as the access log calls it
  std::uint64_t slots_in_use = 0;  // now
  std::uint64_t requests = 0;      // sent to it, and copies not
  std::uint64_t answers = 0;       // heads of answers that came
  std::uint64_t first_byte_nanoseconds = 0;
};

/// `metrics.per_replica`.
struct PerReplica {
  std::vector<ReplicaFigures> present;
  std::size_t max = 0;  // that are shown
};

/// When one certificate begins and ends, in seconds since 1970.
struct CertificateFigures {
  std::string certificate;  // the file, as configured
  std::int64_t start = 0;
  std::int64_t expiry = 0;
};

/// What the process as a whole looks like at the moment of a scrape: filled in by whoever owns the parts. Label values come
/// from the configuration only, never from a client.
struct ProcessFigures {
  std::vector<DeploymentFigures> deployments;  // those that are configured
  std::vector<CertificateFigures> certificates;
  std::uint64_t certificates_refused = 0;  // of listeners: what their files hold now cannot be used
  std::uint64_t authorities_refused = 0;   // files of those likewise
  std::uint64_t generation = 0;
  std::uint64_t access_log_dropped = 0;
  std::optional<Duration> discovery_age;           // nothing: no API server is followed
  std::optional<std::uint64_t> resources_refused;  // likewise
  std::optional<std::uint64_t> events_dropped;     // likewise
  std::optional<PerReplica> per_replica{};         // nothing: switched off
  ProcessUsage usage{};
  std::string version;
};

}  // namespace router::metrics
