#pragma once

#include <set>
#include <string>
#include <vector>

#include "config/config.h"
#include "router/discovery/cluster.h"
#include "router/discovery/reconcile_result.h"

namespace router::discovery {

/// What resources may not claim, lower case: files win over them, and some names are the router's own.
struct TakenNames {
  std::set<std::string> endpoints;
  std::set<std::string> hostnames;
  /// By which clients reach the router, as its certificates and its Service show (own_service.h; there a `*` is one label).
  std::set<std::string> own;
};
/// Of files.
TakenNames names_of(const std::vector<config::Endpoint>& endpoints);

struct Joined {
  std::vector<config::Endpoint> endpoints;  // with their deployments, as config::join makes them of files
  std::vector<ReconcileResult> results;     // of every resource in a namespace that is served; the replicas are not counted yet
};

/// Makes endpoints of resources. An endpoint and all that it uses live in one namespace. Of two that claim the same name or
/// host name the older one has it, then the one whose namespace and name come first: what came out does not depend on the
/// order in which objects arrived. By what clients may reach all endpoints belongs to nobody, unless the namespace's
/// `hostnames` list it: the host of `public_url` and `ssl_cname`, the names in `taken.own`, addresses, names without a domain,
/// and names of Services of `namespace_name`, the router's own namespace (empty: not known). A resource that is refused takes
/// nothing from the others.
Joined join_cluster(const Cluster& cluster, const config::Kubernetes& rules, const std::string& namespace_name,
                    const TakenNames& taken);

}  // namespace router::discovery
