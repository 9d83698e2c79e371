#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "router/runtime/address.h"

namespace router::discovery {

/// One replica as a source of replicas knows it.
struct FoundReplica {
  /// host:port as configured or as Kubernetes tells it, the port filled in; an IPv6 address in brackets. Behind a name its
  /// address: `pods.example:5001 (10.0.0.7)`.
  std::string name;
  std::string host;                // for TLS, and for the probe's Host
  runtime::Address address;        // for scoring
  runtime::Address probe_address;  // for the readiness probe
  /// Its name has addresses of the other family, too, of which this is one: for a probe that cannot connect here; or, where
  /// that family is preferred, that does not find the replica ready.
  std::optional<runtime::Address> other_family;
  bool prefers_other_family = false;
  /// What it is the same replica by, whatever its address is: a Pod's uid and port. Empty: its name and address.
  std::string identity;
  std::optional<bool> ready;  // as the source says; nothing: it is to be asked
  bool terminating = false;   // gets nothing new, keeps what it has, and its slots count no more

  bool operator==(const FoundReplica&) const = default;
};

/// All that a cluster shows of one deployment's replicas.
struct FoundReplicas {
  std::vector<FoundReplica> replicas;  // by identity; readiness told
  std::string_view reason;             // of the condition Accepted (reconcile_result.h), if something was refused
  std::string refused;                 // what was not believed, and why; empty: nothing

  bool operator==(const FoundReplicas&) const = default;
};

}  // namespace router::discovery
