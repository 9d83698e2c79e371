#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/findings.h"

/// What an operator may set, with defaults and units. Plain values: no sockets, no threads. Read by load.h.
namespace router::config {

using std::chrono::milliseconds;
using std::chrono::seconds;

enum class KeyName { kPrimary, kSecondary };

/// A secret text: a scoring key. Has no operator<<; it is compared in constant time by auth and never logged, but its name is.
struct Secret {
  std::string value;
  KeyName name = KeyName::kPrimary;
};

enum class AuthMode { kKey, kAmlToken, kAadToken };
enum class StatusProfile { kKubernetes, kManaged };

/// One of `scoring_route`, `liveness_route`, `readiness_route`.
struct HttpRoute {
  std::uint16_t port = 5001;  // Azure ML
  std::string path = "/";
};

/// Azure ML's probe settings (defaults: Azure ML).
struct Probe {
  seconds initial_delay{10};
  seconds period{10};
  seconds timeout{2};
  int success_threshold = 1;
  int failure_threshold = 30;
};

/// `router: {tls: …}` of a deployment: how replicas are spoken to over https.
struct UpstreamTls {
  bool verify = true;
  std::string ca_file;      // empty: the system's
  std::string server_name;  // empty: the replica's host name
  Location ca_location;     // where ca_file is named, for messages
};

/// `router: {replicas: [host:port]}`. Without a port: the port of the route in question.
struct ReplicaAddress {
  std::string host;        // lower case; a name may have a dot at its end, and is looked up with it then
  std::uint16_t port = 0;  // 0: not given
};

/// Which addresses of a replica's name are replicas.
enum class Resolve {
  kAll,    // each of them
  kFirst,  // one: for names of load balancers, which spread requests themselves
};

/// `router: {service: …}` of a resource: the Kubernetes Service whose EndpointSlices name the replicas. It is never read
/// itself.
struct ServiceReference {
  std::string name;  // default: `{endpoint}-{deployment}`
  std::string port;  // the name of a port in the slices, or the number of a pod's port; default: the scoring route's port
};

struct Deployment {
  std::string name;
  std::string endpoint_name;
  std::string namespace_name;  // the namespace of the resource; empty: a file. Deployments of different namespaces are never
                               // the same one.
  std::string file;            // where it was read, for messages
  int line = 0;
  HttpRoute scoring_route{.port = 5001, .path = "/score"};
  HttpRoute liveness_route;
  HttpRoute readiness_route;
  Probe readiness_probe;
  Probe liveness_probe;  // this and the next: not the router's; for who makes pods of this
  std::optional<Probe> startup_probe;
  std::size_t max_concurrent_requests_per_instance = 1;  // 0 = unlimited
  milliseconds request_timeout{5000};
  milliseconds max_queue_wait{500};
  std::map<std::string, std::string> tags;
  std::vector<std::string> ignored_keys;  // accepted, without effect here; told at load
  // from `router:`
  std::vector<ReplicaAddress> replicas;         // files only
  Resolve resolve = Resolve::kAll;              // likewise
  ServiceReference service;                     // resources only
  bool adopt_azureml_pods = false;              // resources only: Pods that Azure ML's extension has labelled, no Service
  std::optional<UpstreamTls> tls;               // set: https
  std::optional<std::size_t> max_queue_length;  // default: twice the slots, at least 64
  std::uint64_t max_request_bytes = 100ull * 1000 * 1000;
  milliseconds connect_timeout{500};
  milliseconds stream_idle_timeout{60000};
  milliseconds upload_timeout{60000};  // under a slot, of the time in which the client is waited for; and 1 ms for each KB
  milliseconds abort_wait{250};
  bool drain_on_abort = false;
  bool allow_encoded_slashes = false;  // `%2F` below the scoring URI reaches the pod as it is
};

struct Endpoint {
  std::string name;
  std::string namespace_name;  // the namespace of the resource; empty: a file
  std::string file;
  int line = 0;
  AuthMode auth_mode = AuthMode::kKey;
  std::map<std::string, int> traffic;         // deployment, spelled as it spells itself -> percent; sums to 0 or 100
  std::map<std::string, int> mirror_traffic;  // at most one, at most 50
  std::vector<std::string> ignored_keys;
  // from `router:`
  std::vector<std::string> hostnames;  // lower case
  std::string primary_key_file;        // as written, made absolute against the file's folder
  std::string secondary_key_file;
  std::string keys_secret;   // resources only: the Secret with the keys; default `{endpoint}-keys`
  std::vector<Secret> keys;  // read from those, without the newline at the end; empty: nobody may score
  StatusProfile status_profile = StatusProfile::kKubernetes;
  bool forward_authorization = false;
  std::vector<Deployment> deployments;  // those whose endpoint_name is this one
};

/// A pair of files in PEM. `certificate_file` holds the whole chain.
struct Certificate {
  std::string certificate_file;
  std::string key_file;
  std::string password_file;      // of an encrypted key; empty: none
  Location certificate_location;  // where each is named, for messages
  Location key_location;
  Location password_location;
};

struct TlsOptions {
  std::vector<Certificate> certificates;  // the first is the default
  std::string minimum_version = "1.2";    // or "1.3"
  std::vector<std::string>
      ticket_key_files;  // 80 bytes each (nginx's format); the first encrypts; empty: random, rotated hourly
  std::vector<Location> ticket_key_locations;  // of each, for messages
};

struct Listener {
  std::string address = "0.0.0.0";
  std::uint16_t port = 8080;
  std::optional<TlsOptions> tls;  // set: https
  bool proxy_protocol = false;    // read from trusted_proxies only
  Location location;              // for messages
};

struct Limits {
  std::size_t max_connections = 20000;           // whole process
  std::size_t max_connections_per_client = 0;    // an IPv4 address or a /64 of IPv6; 0: no limit
  std::size_t max_handshakes = 4000;             // TLS handshakes under way, whole process; see proxy/handshakes.h
  std::size_t max_header_bytes = 64 * 1024;      // contract, section 4
  std::size_t max_header_fields = 128;           // of a request's head; more than 128 cost an allocation
  milliseconds header_timeout{10'000};           // from the first byte of a head to its end, and for a TLS handshake
  milliseconds keep_alive_timeout{75'000};       // an idle client connection
  milliseconds body_timeout{60'000};             // between two reads of a request body
  milliseconds send_timeout{60'000};             // between two writes to a client that does not read
  std::size_t min_body_rate = 240;               // bytes/s that a client must send while it is waited for; 0: any
  std::size_t min_send_rate = 240;               // bytes/s that a client must take of its answer while it is waited for; 0: any
  std::size_t requests_per_connection = 100000;  // then `Connection: close`
};

enum class LogLevel { kDebug, kInfo, kWarning, kError };
enum class LogFormat { kText, kJson };

/// Where router.yaml says (or would say) what only shows to be wrong when it is used.
struct ProcessLocations {
  Location threads;
  Location buckets;
  Location access_log;
  Location log_file;
  Location observe_address;
  Location admin_address;
};

/// One of `kubernetes: {namespaces: …}`: a namespace that is served, and what its resources may claim.
struct NamespaceRules {
  std::string name;
  std::optional<std::vector<std::string>> hostnames;  // host names or `*.a.example` (any number of labels); not given: any
  std::string prefix;                                 // that each endpoint's name begins with, lower case; empty: any name
  bool operator==(const NamespaceRules&) const = default;
};

/// `kubernetes: {per_namespace: …}`: what the objects of one namespace may amount to. What is beyond is refused, the oldest
/// objects first in, and the condition `Accepted` says so (`LimitExceeded`).
struct NamespaceAmounts {
  std::size_t max_endpoints = 2000;
  std::size_t max_deployments = 4000;
  std::size_t max_secrets = 2000;                 // that endpoints name
  std::uint64_t max_bytes = 64ull * 1024 * 1024;  // of the specs of both kinds, as JSON
  bool operator==(const NamespaceAmounts&) const = default;
};

/// `kubernetes:` of router.yaml: resources and EndpointSlices are followed on an API server.
struct Kubernetes {
  std::string kubeconfig;  // empty: the service account of the pod
  std::string service_account_folder = "/var/run/secrets/kubernetes.io/serviceaccount";
  std::vector<NamespaceRules> namespaces;     // empty: all of them, without bounds
  bool allow_custom_endpoint_slices = false;  // also those that Kubernetes itself did not write
  bool adopt_azureml_pods = false;            // follow Pods, for the deployments that ask for it
  bool check_pod_addresses = false;  // follow all Pods, and believe EndpointSlices only what these say of uid and address
  NamespaceAmounts per_namespace;
  bool create_keys = false;                     // make a Secret with random keys where an endpoint's is missing
  std::string public_url;                       // https://host[:port], for status.scoringUri
  std::string ssl_cname;                        // a host name, for the same
  std::string service_name;                     // the router's own Service, for the same; empty: not known
  std::string lease_name = "inference-router";  // of the election who writes status
  std::string lease_namespace;                  // empty: the service account's, or the kubeconfig's
  std::string identity;                         // of this process in the election; empty: host name and a random number
  Location location;
  bool operator==(const Kubernetes&) const = default;
};

/// router.yaml: what concerns the process.
struct Process {
  std::vector<Listener> listeners;
  Limits limits;
  std::size_t threads = 0;                        // 0: one per core that the process may use
  std::vector<std::string> trusted_proxies;       // addresses or networks: 10.0.0.0/8
  bool via = true;                                // mark requests in Via, and refuse those that come back
  std::string via_name;                           // the mark, a token; empty: a random one
  std::vector<std::chrono::nanoseconds> buckets;  // upper bounds of all histograms, ascending; empty: the router's own
  bool per_replica = false;                       // replicas have figures of their own: four time series each
  std::size_t per_replica_max = 1000;             // replicas that have them, at most
  std::string access_log;                         // empty: none; `stdout`; or a path
  bool access_log_client_ip = true;               // its lines tell the client's address
  std::string log_file;                           // empty: standard error
  LogFormat log_format = LogFormat::kText;
  LogLevel log_level = LogLevel::kInfo;
  std::string observe_address = "127.0.0.1:9901";
  std::string admin_address = "127.0.0.1:9902";  // or unix:/path
  bool admin_unsafe = false;                     // admin on an address that is not loopback
  milliseconds drain_delay{5'000};
  milliseconds drain_grace{300'000};
  std::vector<std::string> endpoint_globs;  // `endpoints:`, absolute; patterns for glob(3)
  std::optional<Kubernetes> kubernetes;
  ProcessLocations locations;
};

/// Everything, as read at one moment: build a routing table from it or keep the old one.
struct Config {
  Process process;
  std::vector<Endpoint> endpoints;
  std::vector<std::string> files;  // every file and folder whose change may change this configuration (also key and PEM files)
  std::vector<std::string> warnings;  // accepted, but an operator should know: unsupported auth_mode, no keys, no replicas, …
};

}  // namespace router::config
