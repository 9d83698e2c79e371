#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "router/fleet/frame.h"
#include "router/fleet/time.h"

namespace router::fleet {

struct ServedPod {
  std::string id;           // the same text on every member: uid or address, and port
  std::uint32_t slots = 0;  // the most exchanges at a time; 0: no limit
};

/// A namespace with pods of deployments that this process serves. Without Kubernetes there is one, with an empty name.
struct ServedNamespace {
  std::string name;
  std::vector<ServedPod> pods;
};

/// Connections to one pod that this process has open: exchanges, idle ones, and those that are being closed.
struct PodHolding {
  std::string pod;
  std::string name_space;
  std::uint32_t connections = 0;
};

struct NamespaceAssignment {
  std::string name;
  bool here = false;  // this process is home
  std::string home;   // the member's id if another is home; empty and not `here`: nobody is
  bool operator==(const NamespaceAssignment&) const = default;
};

struct PodAssignment {
  std::string pod;
  std::uint32_t slots = 0;  // that this process may use now, its own exchanges included; a pod without limit is not listed
  bool operator==(const PodAssignment&) const = default;
};

/// What the data path has to obey. One value, published whole: `version` rises with each change.
struct Assignment {
  std::uint64_t version = 0;
  std::vector<NamespaceAssignment> namespaces;  // by name
  std::vector<PodAssignment> pods;              // of namespaces whose home is here
};

struct MemberReport {
  Member member;
  bool self = false;
  bool linked = false;
  bool proven_dead = false;
  BootDuration silent{};   // since the sending of the newest beat that it echoed
  std::uint64_t busy = 0;  // connections that it has told
};

/// For /status, /readyz and the metrics.
struct Report {
  bool ready = false;
  std::string reason;                    // why not ready, in words
  std::vector<std::string> unreachable;  // addresses
  Epoch epoch;
  std::string own_id;
  std::string state;  // new, joining, serving, leaving, removed, left
  std::vector<MemberReport> members;
  BootTime covered_until = kLongAgo;
  std::size_t homes = 0;            // namespaces whose home is here
  std::size_t taking = 0;           // of these, those that wait for a takeover
  std::uint64_t slots_waiting = 0;  // slots of `taking`
  std::uint64_t slots_busy_elsewhere = 0;
};

}  // namespace router::fleet
