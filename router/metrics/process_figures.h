#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "router/base/time.h"
#include "router/metrics/cells.h"
#include "router/metrics/process_usage.h"

namespace router::metrics {

/// How often replicas of a deployment were ejected or refused connections, since the process started.
struct Outages {
  std::uint64_t ejections = 0;
  std::uint64_t refusals = 0;
};

/// The last decision of the router that decides how many replicas a deployment has.
struct ScalingDecided {
  double busy = 0;  // slots, means
  double waiting = 0;
  double held = 0;
  double offered = 0;
  std::uint64_t wanted = 0;   // replicas
  std::uint64_t current = 0;  // spec.replicas
  double pod_start_seconds = 0;
  std::string limited_by;  // the reason, if it is not the demand; empty: it is
};

/// What the autoscaler knows of a deployment that is scaled.
struct ScalingFigures {
  double demand_slots = 0;                  // this router's share: the sum over the routers is the demand of all
  std::optional<ScalingDecided> decided{};  // nothing in the routers that do not decide
};

/// The state of one deployment at the moment of a scrape.
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
  std::uint64_t held_requests = 0;  // that wait for a first replica
  Outages outages{};
  std::optional<ScalingFigures> scaling{};  // nothing: it is not scaled
};

/// The state of one replica at the moment of a scrape.
struct ReplicaFigures {
  std::string endpoint;
  std::string deployment;
  std::string replica;             // as the access log names it
  std::uint64_t slots_in_use = 0;  // now
  std::uint64_t requests = 0;      // sent to it, without copies
  std::uint64_t answers = 0;       // response heads that arrived
  std::uint64_t first_byte_nanoseconds = 0;
};

/// `metrics.per_replica`.
struct PerReplica {
  std::vector<ReplicaFigures> present;
  std::size_t max = 0;  // of replicas that are shown
};

/// When one certificate begins and ends, in seconds since 1970.
struct CertificateFigures {
  std::string certificate;  // the file, as configured
  std::int64_t start = 0;
  std::int64_t expiry = 0;
};

/// This router as a member of its fleet.
struct FleetFigures {
  std::map<std::string, std::uint64_t> members;  // by state
  std::uint64_t epoch = 0;
  bool covered = false;
  std::uint64_t slots_waiting = 0;
  std::vector<std::pair<std::string, Duration>> round_trips;  // by address of another member; at most 64
  std::array<std::uint64_t, kSentOnResultCount> sent_on{};
};

/// The state of the process at the moment of a scrape; the owners of its parts fill it in. Label values come from the
/// configuration only, never from a client.
struct ProcessFigures {
  std::vector<DeploymentFigures> deployments;  // those that are configured
  std::vector<CertificateFigures> certificates;
  std::uint64_t certificates_refused = 0;  // of listeners: their files cannot be used as they are now
  std::uint64_t authorities_refused = 0;   // files of authorities, likewise
  std::uint64_t generation = 0;
  std::uint64_t access_log_dropped = 0;
  std::optional<Duration> discovery_age;                  // nothing: no API server is followed
  std::optional<std::uint64_t> resources_refused;         // likewise
  std::optional<std::uint64_t> events_dropped;            // likewise
  std::optional<FleetFigures> fleet{};                    // nothing: no fleet
  std::map<std::string, std::uint64_t> scaling_writes{};  // by result; empty: nothing was written
  std::optional<std::uint64_t> held_bytes{};              // nothing: no autoscaler
  std::optional<PerReplica> per_replica{};                // nothing: switched off
  ProcessUsage usage{};
  std::string version;
};

}  // namespace router::metrics
