#pragma once

#include <set>
#include <string>
#include <vector>

#include "config/config.h"
#include "router/discovery/cluster.h"
#include "router/discovery/reconcile_result.h"

namespace router::discovery {

/// Names that resources may not claim, in lower case: those of files, which take precedence, and the router's own.
struct TakenNames {
  std::set<std::string> endpoints;
  std::set<std::string> hostnames;
  /// The host names by which clients reach the router, from its certificates and its Service (own_service.h; a `*` is one
  /// label).
  std::set<std::string> own;
};
/// The names of endpoints that files describe.
TakenNames names_of(const std::vector<config::Endpoint>& endpoints);

struct Joined {
  std::vector<config::Endpoint> endpoints;  // with their deployments, as config::join makes them from files
  std::vector<ReconcileResult> results;     // of every resource in a served namespace; the replicas are not counted yet
};

/// Makes endpoints from resources. An endpoint and all objects that it uses are in one namespace. If two resources claim the
/// same name or host name, the older one gets it; if they are equally old, the first by namespace and name. The result does not
/// depend on the order in which objects arrived. A refused resource claims nothing.
/// An endpoint may claim a host name by which clients can reach all endpoints only if its namespace's `hostnames` list it.
/// These names are the host of `public_url`, `ssl_cname`, the names in `taken.own`, IP addresses, names without a domain, and
/// the names of Services of `namespace_name`, the router's own namespace (empty: not known).
Joined join_cluster(const Cluster& cluster, const config::Kubernetes& rules, const std::string& namespace_name,
                    const TakenNames& taken);

}  // namespace router::discovery
