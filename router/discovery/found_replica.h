#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "router/runtime/address.h"

namespace router::discovery {

/// One replica as a source of replicas knows it.
struct FoundReplica {
  std::string name;  // host:port as configured or as Kubernetes tells it, the port filled in; an IPv6 address in brackets
  std::string host;
  runtime::Address address;        // for scoring
  runtime::Address probe_address;  // for the readiness probe
  /// What it is the same replica by, whatever its address is: a Pod's uid and port. Empty: its name and address.
  std::string identity;
  std::optional<bool> ready;  // as the source says; nothing: it is to be asked
  bool terminating = false;   // gets nothing new, keeps what it has, and its slots count no more

  bool operator==(const FoundReplica&) const = default;
};

/// All that a cluster shows of one deployment's replicas.
struct FoundReplicas {
  std::vector<FoundReplica> replicas;  // by identity; readiness told
  std::string_view reason;             // of the condition Accepted (verdict.h), if something was refused
  std::string refused;                 // what was not believed, and why; empty: nothing

  bool operator==(const FoundReplicas&) const = default;
};

}  // namespace router::discovery
