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

/// The settings of an operator, with defaults and units. Plain values: no sockets, no threads. load.h reads them.
namespace router::config {

using std::chrono::milliseconds;
using std::chrono::seconds;

enum class KeyName { kPrimary, kSecondary };

/// A secret text: a scoring key. It has no operator<<. `auth` compares it in constant time. Its name may be logged, its value
/// never.
struct Secret {
  std::string value;
  KeyName name = KeyName::kPrimary;
};

enum class AuthMode { kKey, kAmlToken, kAadToken };
enum class StatusProfile { kKubernetes, kManaged };

/// One of `scoring_route`, `liveness_route`, `readiness_route`.
struct HttpRoute {
  std::uint16_t port = 5001;  // Azure ML's default
  std::string path = "/";
};

/// Azure ML's probe settings, with Azure ML's defaults.
struct Probe {
  seconds initial_delay{10};
  seconds period{10};
  seconds timeout{2};
  int success_threshold = 1;
  int failure_threshold = 30;
};

/// `router: {tls: …}` of a deployment: the router connects to its replicas over https.
struct UpstreamTls {
  bool verify = true;
  std::string ca_file;      // empty: the system's authorities
  std::string server_name;  // empty: the replica's host name
  Location ca_location;     // of ca_file, for messages
};

/// `router: {replicas: [host:port]}`. Without a port, the port of the scoring or readiness route applies.
struct ReplicaAddress {
  std::string host;        // lower case; a name may end with a dot, and is looked up with it
  std::uint16_t port = 0;  // 0: not given
};

/// Which addresses of a replica's name become replicas.
enum class Resolve {
  kAll,    // every address
  kFirst,  // one address: for names of load balancers, which spread requests themselves
};

/// `router: {service: …}` of a resource: the Kubernetes Service whose EndpointSlices list the replicas. The Service itself is
/// never read.
struct ServiceReference {
  std::string name;  // default: `{endpoint}-{deployment}`
  std::string port;  // the name of a port in the slices, or the number of a pod's port; default: the scoring route's port
};

/// `autoscaler:` of router.yaml, and `router: {scaling: {autoscaler: …}}` of a deployment: what the router does with
/// `scale_settings`.
enum class AutoscalerMode {
  kOff,      // nothing
  kObserve,  // decides and explains, and writes no number of replicas
  kAct,      // writes it, too
};

/// `scale_settings:` of a deployment, with Azure ML's defaults.
struct ScaleSettings {
  enum class Type {
    kDefault,  // the number of replicas is `instance_count`, and the user's to set
    kTargetUtilization,
  };
  Type type = Type::kDefault;
  int min_instances = 1;  // 0: may be scaled to zero
  int max_instances = 1;
  seconds polling_interval{1};
  int target_utilization_percentage = 70;
};

/// `router: {scaling: {target: …}}`: the object whose scale is written, in the resource's own namespace. Anything with a
/// subresource `scale`.
struct ScaleTarget {
  std::string api_version = "apps/v1";
  std::string kind = "Deployment";
  std::string name;  // default: `{endpoint}-{deployment}`
  bool operator==(const ScaleTarget&) const = default;
};

/// `router: {scaling: …}` of a resource.
struct Scaling {
  std::optional<AutoscalerMode> autoscaler;  // default: router.yaml's
  ScaleTarget target;
  std::size_t concurrency = 0;  // slots of a replica for the decision, where max_concurrent_requests_per_instance is 0
  seconds idle_time{300};       // without a request for so long, it is scaled to zero if min_instances is 0
  milliseconds hold{120'000};   // that a request waits, from its arrival, for a replica that is being started
  std::optional<std::size_t> hold_requests;  // that wait so in one router; default: max_queue_length
};

struct Deployment {
  std::string name;
  std::string endpoint_name;
  std::string namespace_name;  // of the resource; empty: a file. Deployments of different namespaces are different ones
  std::string file;            // where it was read, for messages
  int line = 0;
  HttpRoute scoring_route{.port = 5001, .path = "/score"};
  HttpRoute liveness_route;
  HttpRoute readiness_route;
  Probe readiness_probe;
  Probe liveness_probe;  // this and startup_probe: only for the pods that `convert` writes
  std::optional<Probe> startup_probe;
  std::size_t max_concurrent_requests_per_instance = 1;  // 0 = unlimited
  milliseconds request_timeout{5000};
  milliseconds max_queue_wait{500};
  std::map<std::string, std::string> tags;
  std::vector<std::string> ignored_keys;  // accepted without effect; the status of a resource lists them
  // from `router:`
  std::vector<ReplicaAddress> replicas;         // files only
  Resolve resolve = Resolve::kAll;              // files only
  ServiceReference service;                     // resources only
  bool adopt_azureml_pods = false;              // resources only: the replicas are Pods that Azure ML's extension has labelled
  std::optional<UpstreamTls> tls;               // set: https
  std::optional<std::size_t> max_queue_length;  // default: twice the slots, at least 64
  std::uint64_t max_request_bytes = 100ull * 1000 * 1000;
  milliseconds connect_timeout{500};
  milliseconds stream_idle_timeout{60000};
  milliseconds upload_timeout{60000};  // that an upload may make a held slot wait for the client; plus 1 ms per KB
  milliseconds abort_wait{250};
  bool drain_on_abort = false;
  bool allow_encoded_slashes = false;           // passes `%2F` below the scoring URI to the pod unchanged
  std::optional<ScaleSettings> scale_settings;  // absent: it is not scaled
  std::optional<int> instance_count;
  Scaling scaling;  // resources only
};

struct Endpoint {
  std::string name;
  std::string namespace_name;  // the namespace of the resource; empty: a file
  std::string file;
  int line = 0;
  AuthMode auth_mode = AuthMode::kKey;
  std::map<std::string, int> traffic;         // deployment's name as the deployment spells it -> percent; the sum is 0 or 100
  std::map<std::string, int> mirror_traffic;  // at most one deployment, with at most 50
  std::vector<std::string> ignored_keys;
  // from `router:`
  std::vector<std::string> hostnames;  // lower case
  std::string primary_key_file;        // as written, made absolute against the file's folder
  std::string secondary_key_file;
  std::string keys_secret;   // resources only: the Secret with the keys; default `{endpoint}-keys`
  std::vector<Secret> keys;  // from these files or the Secret, without the line end; empty: every request gets 401
  StatusProfile status_profile = StatusProfile::kKubernetes;
  bool forward_authorization = false;
  std::vector<Deployment> deployments;  // whose endpoint_name is this name
};

/// A pair of PEM files. `certificate_file` holds the whole chain.
struct Certificate {
  std::string certificate_file;
  std::string key_file;
  std::string password_file;      // of an encrypted key; empty: none
  Location certificate_location;  // of each file, for messages
  Location key_location;
  Location password_location;
};

struct TlsOptions {
  std::vector<Certificate> certificates;  // the first is the default
  std::string minimum_version = "1.2";    // or "1.3"
  std::vector<std::string>
      ticket_key_files;  // 80 bytes each (nginx's format); the first encrypts; empty: random, rotated hourly
  std::vector<Location> ticket_key_locations;  // of each file, for messages
};

struct Listener {
  std::string address = "0.0.0.0";
  std::uint16_t port = 8080;
  std::optional<TlsOptions> tls;  // set: https
  bool proxy_protocol = false;    // accepted from trusted_proxies only
  Location location;              // for messages
};

struct Limits {
  std::size_t max_connections = 20000;               // whole process
  std::size_t max_connections_per_client = 0;        // an IPv4 address or a /64 of IPv6; 0: no limit
  std::size_t max_handshakes = 4000;                 // TLS handshakes in progress, whole process; see proxy/handshakes.h
  std::size_t max_header_bytes = 64 * 1024;          // contract, section 4
  std::size_t max_header_fields = 128;               // in a request's head; a head with more than 128 costs an allocation
  milliseconds header_timeout{10'000};               // from the first byte of a head to its end, and for a TLS handshake
  milliseconds keep_alive_timeout{75'000};           // an idle client connection
  milliseconds body_timeout{60'000};                 // between two reads of a request body
  milliseconds send_timeout{60'000};                 // between two writes to a client that does not read
  std::size_t min_body_rate = 240;                   // bytes/s that a client must send while the router waits for it; 0: any
  std::size_t min_send_rate = 240;                   // bytes/s that a client must read while the router waits for it; 0: any
  std::size_t requests_per_connection = 100000;      // then `Connection: close`
  std::size_t max_held_bytes = 64ull * 1000 * 1000;  // of requests that wait for a replica that is being started
};

enum class LogLevel { kDebug, kInfo, kWarning, kError };
enum class LogFormat { kText, kJson };

/// The locations in router.yaml of settings whose mistakes show only when the settings are used.
struct ProcessLocations {
  Location threads;
  Location buckets;
  Location access_log;
  Location log_file;
  Location observe_address;
  Location admin_address;
};

/// One of `kubernetes: {namespaces: …}`: a namespace that the router serves, and what its resources may claim.
struct NamespaceRules {
  std::string name;
  std::optional<std::vector<std::string>> hostnames;  // host names or `*.a.example` (any number of labels); not given: any
  std::string prefix;                                 // with which each endpoint's name must begin, lower case; empty: any name
  bool operator==(const NamespaceRules&) const = default;
};

/// `kubernetes: {per_namespace: …}`: limits for the objects of one namespace. The oldest objects are accepted first. Objects
/// beyond a limit are refused, with the reason `LimitExceeded` in the condition `Accepted`.
struct NamespaceAmounts {
  std::size_t max_endpoints = 2000;
  std::size_t max_deployments = 4000;
  std::size_t max_secrets = 2000;                 // Secrets that endpoints name
  std::uint64_t max_bytes = 64ull * 1024 * 1024;  // of the specs of both kinds, as JSON
  bool operator==(const NamespaceAmounts&) const = default;
};

/// `kubernetes:` of router.yaml: the router follows resources and EndpointSlices of an API server.
struct Kubernetes {
  std::string kubeconfig;  // empty: the service account of the pod
  std::string service_account_folder = "/var/run/secrets/kubernetes.io/serviceaccount";
  std::vector<NamespaceRules> namespaces;     // empty: all namespaces, without rules
  bool allow_custom_endpoint_slices = false;  // accepts also EndpointSlices that Kubernetes did not write
  bool adopt_azureml_pods = false;            // follows Pods, for deployments with adoptAzureMLPods
  bool check_pod_addresses = false;  // follows all Pods; uses an EndpointSlice only where the Pod of that uid has that address
  NamespaceAmounts per_namespace;
  bool create_keys = false;                     // creates a Secret with random keys for an endpoint whose Secret is missing
  std::string public_url;                       // https://host[:port], for status.scoringUri
  std::string ssl_cname;                        // a host name, for status.scoringUri
  std::string service_name;                     // the router's own Service, for status.scoringUri; empty: not known
  std::string lease_name = "inference-router";  // the Lease that elects the router that writes status
  std::string lease_namespace;                  // empty: the namespace of the service account, or of the kubeconfig
  std::string identity;                         // of this process in the election; empty: host name and a random number
  Location location;
  bool operator==(const Kubernetes&) const = default;
};

/// `fleet:` of router.yaml: several routers share the slots of the pods (docs/fleet.md).
struct Fleet {
  std::string listen = "0.0.0.0:9903";  // an IP address and a port, for the other members only
  std::string advertise;                // where the other members reach this one
  std::string key_file;                 // without Kubernetes: 1 or 2 lines of 64 hex digits
  std::vector<std::string> peers;       // without Kubernetes: all members, this one among them
  std::string lease_name = "inference-router-fleet";
  std::string secret_name = "inference-router-fleet";
  std::string pod_uid;  // of the Pod of this process: a later process of the same Pod proves that it has ended
  std::chrono::seconds running_grace{5};  // G: how long an exchange may go on after coverage was lost
  std::chrono::seconds take_after{60};    // after this time without any stamp of the Lease a newcomer takes it
  bool trust_refused = true;              // a refused connection proves that a member's process has ended
  Location location;
  bool operator==(const Fleet&) const = default;
};

/// router.yaml: the settings of the process.
struct Process {
  std::vector<Listener> listeners;
  Limits limits;
  std::size_t threads = 0;                        // 0: one per core that the process may use
  std::vector<std::string> trusted_proxies;       // addresses or networks: 10.0.0.0/8
  bool via = true;                                // marks requests in Via, and refuses requests that come back
  std::string via_name;                           // the mark, a token; empty: random
  std::vector<std::chrono::nanoseconds> buckets;  // upper bounds of all histograms, ascending; empty: the router's own
  bool per_replica = false;                       // exports figures of each replica: four time series each
  std::size_t per_replica_max = 1000;             // replicas with such figures, at most
  std::string access_log;                         // empty: none; `stdout`; or a path
  bool access_log_client_ip = true;               // log lines hold the client's address
  std::string log_file;                           // empty: standard error
  LogFormat log_format = LogFormat::kText;
  LogLevel log_level = LogLevel::kInfo;
  std::string observe_address = "127.0.0.1:9901";
  std::string admin_address = "127.0.0.1:9902";  // or unix:/path
  bool admin_unsafe = false;                     // admin may listen on an address that is not loopback
  milliseconds drain_delay{5'000};
  milliseconds drain_grace{300'000};
  std::vector<std::string> endpoint_globs;  // `endpoints:`, absolute; patterns for glob(3)
  std::optional<Kubernetes> kubernetes;
  std::optional<Fleet> fleet;  // absent: this router counts the slots for itself
  AutoscalerMode autoscaler = AutoscalerMode::kObserve;
  ProcessLocations locations;
};

/// The whole configuration, as read at one moment. It is applied as a whole, or the old one stays.
struct Config {
  Process process;
  std::vector<Endpoint> endpoints;
  std::vector<std::string> files;  // every file and folder whose change may change this configuration; also key and PEM files
  std::vector<std::string> warnings;  // accepted, but an operator should know: unsupported auth_mode, no keys, no replicas, …
};

}  // namespace router::config
