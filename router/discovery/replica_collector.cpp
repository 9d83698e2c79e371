#include "router/discovery/replica_collector.h"

#include <absl/strings/str_cat.h>
#include <netinet/in.h>

#include <utility>

namespace router::discovery {
namespace {

using runtime::Address;

/// IPv4 before IPv6; within a family any order that does not change.
bool prefers(const Address& address, const Address& before) {
  if (address.family() != before.family()) return address.family() == AF_INET;
  return address.text() < before.text();
}

}  // namespace

std::string pod_identity(const std::string& uid, std::uint16_t port) { return absl::StrCat(uid, ":", port); }

void ReplicaCollector::add(const std::string& identity, const Sighting& sighting) {
  const auto [known, fresh] = found_.try_emplace(identity);
  FoundReplica& replica = known->second;
  const bool usable = sighting.ready && !sighting.terminating;
  replica.ready = (fresh || *replica.ready) && usable;
  replica.terminating = replica.terminating || sighting.terminating;
  if (fresh || prefers(sighting.address, replica.address)) reach_at(replica, sighting.address);
  replica.identity = identity;
}

void ReplicaCollector::refuse(const std::string& what, const std::string& why) {
  if (++refused_ > kShown) return;
  absl::StrAppend(&result_.refused, refused_ > 1 ? "; " : "", what, ": ", why);
}

FoundReplicas ReplicaCollector::finish(std::string_view reason) {
  for (auto& [identity, replica] : found_) result_.replicas.push_back(std::move(replica));
  if (refused_ > kShown) absl::StrAppend(&result_.refused, "; and ", refused_ - kShown, " more");
  if (refused_ > 0) result_.reason = reason;
  return std::move(result_);
}

void ReplicaCollector::reach_at(FoundReplica& replica, const Address& address) const {
  replica.address = address;
  replica.name = address.text();
  replica.host = address.ip();
  const bool same_port = deployment_.readiness_route.port == deployment_.scoring_route.port;
  const std::uint16_t probe_port = same_port ? address.port() : deployment_.readiness_route.port;
  replica.probe_address = *Address::parse(address.ip(), probe_port);
}

}  // namespace router::discovery
