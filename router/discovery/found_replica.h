#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "router/runtime/address.h"

namespace router::discovery {

/// One replica, as a source of replicas describes it.
struct FoundReplica {
  /// `host:port` as configured or from Kubernetes, always with a port; an IPv6 address is in brackets. A name is followed by
  /// its address: `pods.example:5001 (10.0.0.7)`.
  std::string name;
  std::string host;                // for TLS, and for the probe's field Host
  runtime::Address address;        // for scoring
  runtime::Address probe_address;  // for the readiness probe
  /// An address of the other family, if the name has one. The probe tries it if it cannot connect to `probe_address`; if the
  /// other family is preferred, also if the replica is not ready.
  std::optional<runtime::Address> other_family;
  bool prefers_other_family = false;
  /// Identifies the replica if its address changes: a Pod's uid and port. Empty: the name and address identify it.
  std::string identity;
  std::optional<bool> ready;  // as the source says; nothing: the replica must be probed
  bool terminating = false;   // it gets no new requests and finishes the running ones; its slots do not count any more

  bool operator==(const FoundReplica&) const = default;
};

/// All replicas of one deployment that a cluster has.
struct FoundReplicas {
  std::vector<FoundReplica> replicas;  // sorted by identity; `ready` is set
  std::string_view reason;             // of the condition Accepted (reconcile_result.h), if something was refused
  std::string refused;                 // the refused objects and the reasons; empty: none

  bool operator==(const FoundReplicas&) const = default;
};

}  // namespace router::discovery
