#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "config/config.h"
#include "router/discovery/own_addresses.h"
#include "router/listening/listeners.h"
#include "router/serving/tls_material.h"

/// Host names and addresses of this router itself. An endpoint of a file may have such a name; a warning says what else it
/// receives then. A resource may not, unless the rules of its namespace list the name.
namespace router::serving {

/// The host names in this router's certificates, by which clients may know it. Wildcards are left out.
std::set<std::string> certified_names(const TlsMaterial& tls);

/// Warnings for endpoints with a host name of the router itself. An endpoint receives every path of its host name, also the
/// scoring URIs of other endpoints. That is intended if all of them have names of their own; a warning is given if one has
/// none.
std::vector<std::string> warnings_of_swallowed(const std::vector<config::Endpoint>& endpoints,
                                               const std::set<std::string>& certified);

/// Addresses and names of this process.
struct OwnIdentity {
  /// Of its listeners: no object may direct the router to one of them.
  std::shared_ptr<const discovery::OwnAddresses> addresses = std::make_shared<const discovery::OwnAddresses>();
  std::set<std::string> certified;  // host names in its certificates: no resource may claim them
};
OwnIdentity own_identity(const config::Process& process, const listening::Listeners::Change& listeners, const TlsMaterial& tls);

}  // namespace router::serving
