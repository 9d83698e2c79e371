#pragma once

#include <string_view>

/// Every metric that the router exposes, with its HELP text for operators. The names are part of the contract (section 10);
/// labels are in the order in which they are written.
namespace router::metrics {

struct Name {
  std::string_view name;
  std::string_view help;
};

// Labels {endpoint, deployment}; an empty value: the exchange found no deployment, or no endpoint.
inline constexpr Name kRequests{
    "inference_router_requests_total",
    "Exchanges that have ended, by the status the client was given and the router's reason (empty: the pod's own answer)."};
inline constexpr Name kRequestDuration{"inference_router_request_duration_seconds",
                                       "From the complete request head to the last response byte handed to the kernel."};
inline constexpr Name kRouterOverhead{
    "inference_router_router_overhead_seconds",
    "Duration without waiting in the queue, for the pod or for the client: the router's own share."};
inline constexpr Name kQueueWait{"inference_router_queue_wait_seconds",
                                 "Wait for a free slot, of the exchanges that reached the queue."};
inline constexpr Name kFirstByte{"inference_router_upstream_first_byte_seconds",
                                 "From the last request byte sent to the pod to the pod's response head."};
inline constexpr Name kRequestBytes{"inference_router_request_bytes_total", "Bytes of request bodies received from clients."};
inline constexpr Name kResponseBytes{"inference_router_response_bytes_total", "Bytes of response bodies sent to clients."};
inline constexpr Name kRetries{"inference_router_retries_total",
                               "Exchanges with a further attempt, made because the pod provably had not acted, by why the "
                               "attempt before failed."};  // + reason
inline constexpr Name kAbortsUnnoticed{"inference_router_aborts_unnoticed_total",
                                       "Aborted exchanges whose pod kept its connection open beyond abort_wait_ms: it may "
                                       "still compute when the next request arrives."};
inline constexpr Name kFreshConnections{
    "inference_router_fresh_connections_total",
    "New connections to a replica in place of a kept one that it might have been about to close, by reason."};  // + reason
inline constexpr Name kQueueLength{"inference_router_queue_length", "Exchanges waiting in the queue now."};
inline constexpr Name kSlotsInUse{"inference_router_slots_in_use", "Slots held by exchanges now."};
inline constexpr Name kSlots{"inference_router_slots", "Slots of all replicas with a limit."};
inline constexpr Name kReplicas{"inference_router_replicas", "Replicas by state."};  // + state
inline constexpr Name kEjections{"inference_router_ejections_total", "Times a failing replica was ejected."};
inline constexpr Name kRefusals{"inference_router_refusals_total",
                                "Times a replica was not chosen any more because it had refused a connection."};

// Labels {endpoint, deployment, replica}; only with metrics.per_replica.
inline constexpr Name kReplicaRequests{"inference_router_replica_requests_total",
                                       "Requests sent to the replica, further attempts included, copies not."};
inline constexpr Name kReplicaSlotsInUse{"inference_router_replica_slots_in_use",
                                         "Slots of the replica that are held now, also by copies."};
inline constexpr Name kReplicaFirstByte{"inference_router_replica_first_byte_seconds",
                                        "From the last request byte sent to the replica to its response head."};
inline constexpr Name kReplicasLeftOut{"inference_router_replicas_left_out",
                                       "Replicas without figures of their own, beyond metrics.per_replica_max."};

// Of the process.
inline constexpr Name kMirrored{"inference_router_mirrored_total",
                                "Copies of requests for mirrored deployments, by what became of them."};
inline constexpr Name kConnectionsActive{"inference_router_connections_active", "Client connections open now."};
inline constexpr Name kConnections{"inference_router_connections_total", "Client connections accepted."};
inline constexpr Name kConnectionsRefused{"inference_router_connections_refused_total",
                                          "Client connections closed at once because of a connection limit."};
inline constexpr Name kConnectionsDisplaced{"inference_router_connections_displaced_total",
                                            "Idle client connections closed at max_connections, for a new one."};
inline constexpr Name kHandshakes{"inference_router_tls_handshakes_total",
                                  "TLS handshakes with clients, by result and whether a session was resumed."};
inline constexpr Name kCertificateExpiry{"inference_router_certificate_expiry_timestamp_seconds",
                                         "When a certificate in use ends, in seconds since 1970."};
inline constexpr Name kCertificateStart{"inference_router_certificate_start_timestamp_seconds",
                                        "When a certificate in use begins, in seconds since 1970."};
inline constexpr Name kFilesRefused{
    "inference_router_files_refused",
    "Certificates of listeners and files of authorities that cannot be used as they are now: what was in force stays, or "
    "nothing takes their place."};  // + kind
inline constexpr Name kGeneration{"inference_router_configuration_generation", "Number of the configuration in force."};
inline constexpr Name kReloads{"inference_router_configuration_reloads_total",
                               "Changed configurations read, by whether they were accepted."};
inline constexpr Name kConfigurationRefused{
    "inference_router_configuration_refused",
    "1: the files were refused when they were last read, and an older configuration is in force; 0: the files are in force."};
inline constexpr Name kDiscoveryAge{
    "inference_router_discovery_age_seconds",
    "Time, at most, since the known resources and replicas were last confirmed by the API server."};
inline constexpr Name kResourcesRefused{"inference_router_resources_refused",
                                        "Resources of the API server whose newest version is not accepted."};
inline constexpr Name kEventsDropped{"inference_router_events_dropped_total",
                                     "Events of refused resources that the API server did not get."};
inline constexpr Name kFleetMembers{"inference_router_fleet_members",
                                    "Routers of the fleet, this one included, by state."};  // + state
inline constexpr Name kFleetEpoch{"inference_router_fleet_epoch", "Number of the fleet's roster that this router has."};
inline constexpr Name kFleetCovered{"inference_router_fleet_covered",
                                    "1: this router may use slots of pods with a limit; 0: it has lost touch with its fleet."};
inline constexpr Name kFleetSlotsWaiting{
    "inference_router_fleet_slots_waiting_for_takeover",
    "Slots of namespaces whose home is here that are not used yet, because another router may still use them."};
inline constexpr Name kFleetRoundTrip{
    "inference_router_fleet_link_rtt_seconds",
    "Round trip time of the link to another router of the fleet, as TCP measures it."};  // + peer
inline constexpr Name kFleetSentOn{"inference_router_fleet_requests_sent_on_total",
                                   "Requests sent on to another router, by what became of them."};  // + result
inline constexpr Name kDemandSlots{"inference_router_demand_slots",
                                   "This router's share of the slots that the requests of all routers need; sum it."};
inline constexpr Name kScalingDemand{"inference_router_scaling_demand_slots",
                                     "Slots needed, as the router that decides saw it last, by part."};  // + part
inline constexpr Name kScalingWanted{"inference_router_scaling_wanted_replicas", "Replicas that were decided on last."};
inline constexpr Name kScalingCurrent{"inference_router_scaling_current_replicas",
                                      "spec.replicas of the target, as last seen."};
inline constexpr Name kScalingPodStart{"inference_router_scaling_pod_start_seconds",
                                       "Median time from asking for a replica until it was ready."};
inline constexpr Name kScalingLimited{"inference_router_scaling_limited",
                                      "1: the last decision did not follow the demand alone, by reason."};  // + by
inline constexpr Name kScalingWrites{"inference_router_scaling_writes_total",
                                     "Writes of spec.replicas, by result."};  // + result
inline constexpr Name kHeldRequests{"inference_router_held_requests", "Requests that wait for a first replica."};
inline constexpr Name kHeldBytes{"inference_router_held_bytes",
                                 "Memory of requests that wait for a first replica, of all deployments."};
inline constexpr Name kLogDropped{"inference_router_access_log_dropped_total",
                                  "Access log lines dropped because they could not be written fast enough."};

// Of the process, as client libraries of Prometheus call them.
inline constexpr Name kCpuSeconds{"process_cpu_seconds_total", "Total user and system CPU time spent in seconds."};
inline constexpr Name kResidentBytes{"process_resident_memory_bytes", "Resident memory size in bytes."};
inline constexpr Name kVirtualBytes{"process_virtual_memory_bytes", "Virtual memory size in bytes."};
inline constexpr Name kOpenDescriptors{"process_open_fds", "Number of open file descriptors."};
inline constexpr Name kMaxDescriptors{"process_max_fds", "Maximum number of open file descriptors."};
inline constexpr Name kStartTime{"process_start_time_seconds", "Start time of the process since unix epoch in seconds."};
inline constexpr Name kThreads{"process_threads", "Number of OS threads in the process."};

inline constexpr Name kBuildInfo{"inference_router_build_info", "Always 1; the label is the version."};

}  // namespace router::metrics
