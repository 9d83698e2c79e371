#pragma once

#include "config/config.h"
#include "config/reader.h"

namespace router::config {

/// router.yaml: the settings of the process. Its main keys, with their defaults (docs/configuration.md explains every key):
///
///   listeners:                          # at least one
///     - address: 0.0.0.0                # an IP address
///       port: 8080                      # 8443 with tls; 0: any free one
///       proxy_protocol: false
///       tls:                            # if present: https
///         certificates:                 # at least one; the first is the default
///           - certificate_file: …       # with key_file; or `directory: …`, which holds cert.pem and key.pem
///             key_file: …
///             password_file: …          # of an encrypted key
///         minimum_version: "1.2"        # or "1.3"
///         ticket_key_files: […]
///   limits:
///     max_connections: 20000
///     max_connections_per_client: 0     # no limit
///     max_handshakes: 4000
///     max_header_bytes: 65536
///     max_header_fields: 128
///     header_timeout_ms: 10000
///     keep_alive_timeout_ms: 75000
///     body_timeout_ms: 60000
///     send_timeout_ms: 60000
///     min_body_rate: 240                # bytes per second; 0: any
///     min_send_rate: 240
///     requests_per_connection: 100000
///     max_held_bytes: 64000000          # 0: no request waits for a pod that is being started
///   threads: 0                          # one per core
///   trusted_proxies: [10.0.0.0/8, …]
///   via: true                           # mark requests in Via, and refuse those that come back
///   via_name: …                         # the mark; default: random
///   access_log: …                       # stdout, or a path; default: none
///   log: {file: …, level: info}         # without file: standard error; debug, info, warning, error
///   observe: {address: "127.0.0.1:9901"}
///   admin: {address: "127.0.0.1:9902", unsafe: false}   # or unix:/path
///   metrics: {buckets: [0.01, 0.1, …]}  # seconds, ascending, at most 40; default: those of cells.h
///   drain_delay_ms: 5000
///   drain_grace_ms: 300000
///   autoscaler: observe                 # off, observe, act
///   endpoints: [endpoints/*.yml, …]     # at least one; optional with kubernetes
///   kubernetes:                         # if present, even as `{}`: follows the resources of an API server
///     kubeconfig: …                     # or service_account_folder: /var/run/secrets/kubernetes.io/serviceaccount
///     namespaces:                       # default: all namespaces
///       - {name: …, hostnames: ["*.a.example", …], prefix: team-a-}
///     allow_custom_endpoint_slices: false
///     create_keys: false
///     public_url: …                     # https://host[:port]
///     ssl_cname: …
///     service_name: …
///     lease: {name: inference-router, namespace: …}
///     identity: …
///   fleet:                              # absent: this router counts the slots for itself
///     listen: 0.0.0.0:9903
///     advertise: …                      # where the other routers reach this one
///     peers: [10.0.0.1:9903, …]         # without kubernetes
///     key_file: …                       # without kubernetes
///     lease: inference-router-fleet     # with kubernetes, as the two below
///     secret: inference-router-fleet
///     pod_uid: …
///     running_grace_s: 5
///     take_after_s: 60                  # with kubernetes
///     trust_refused: true
///
/// Paths are relative to the folder of router.yaml. `glob_locations`, if given, gets the location of each of `endpoint_globs`.
Process read_process(MapReader document, std::vector<Location>* glob_locations = nullptr);
/// The section `kubernetes`, if present.
std::optional<Kubernetes> read_kubernetes(MapReader& document);
/// The section `fleet`, if present. Which of its keys are expected depends on whether there is a section `kubernetes`.
std::optional<Fleet> read_fleet(MapReader& document, bool with_kubernetes);

}  // namespace router::config
