#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "config/config.h"
#include "router/discovery/own_addresses.h"
#include "router/listening/listeners.h"
#include "router/serving/tls_material.h"

/// Host names and addresses that are this router's own. In files an endpoint may have one, and is told what it takes with it;
/// resources may not, unless their namespace lists it.
namespace router::serving {

/// Those by which clients may know this router, as its certificates show. A wildcard names nobody in particular.
std::set<std::string> certified_names(const TlsMaterial& tls);

/// An endpoint's host name takes every path there, scoring URIs of other endpoints too. That is meant where each endpoint has
/// names of its own; where others have none, a name that is the router's own swallows them.
std::vector<std::string> warnings_of_swallowed(const std::vector<config::Endpoint>& endpoints,
                                               const std::set<std::string>& certified);

/// What this process itself is.
struct OwnIdentity {
  /// Its listeners, to which no object may have the router speak.
  std::shared_ptr<const discovery::OwnAddresses> addresses = std::make_shared<const discovery::OwnAddresses>();
  std::set<std::string> certified;  // host names that its certificates show, which no resource may claim
};
OwnIdentity own_identity(const config::Process& process, const listening::Listeners::Change& listeners, const TlsMaterial& tls);

}  // namespace router::serving
