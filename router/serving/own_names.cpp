#include "router/serving/own_names.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <iterator>
#include <optional>
#include <tuple>
#include <utility>

#include "config/addresses.h"
#include "config/findings.h"
#include "router/runtime/address.h"

namespace router::serving {

std::set<std::string> certified_names(const TlsMaterial& tls) {
  std::set<std::string> names;
  for (const auto& contexts : tls.listeners) {
    if (contexts.empty()) continue;
    for (const tls::CertificateInfo& certificate : contexts.front()->certificates()) {
      std::copy_if(certificate.names.begin(), certificate.names.end(), std::inserter(names, names.end()),
                   [](const std::string& name) { return name.find('*') == name.npos; });
    }
  }
  return names;
}

std::vector<std::string> warnings_of_swallowed(const std::vector<config::Endpoint>& endpoints,
                                               const std::set<std::string>& certified) {
  std::vector<std::string> warnings;
  const auto nameless = [](const config::Endpoint& each) { return each.hostnames.empty(); };
  const auto other = std::find_if(endpoints.begin(), endpoints.end(), nameless);
  if (other == endpoints.end()) return warnings;
  for (const config::Endpoint& endpoint : endpoints) {
    for (const std::string& name : endpoint.hostnames) {
      const bool is_own = certified.contains(name) || config::is_ip_address(name) || name == "localhost";
      if (!is_own) continue;
      warnings.push_back(absl::StrCat(endpoint.file, ":", endpoint.line, ": router.hostnames: ", config::shown(name),
                                      " is a name of the router itself: there all paths belong to the endpoint ", endpoint.name,
                                      ", also /api/v1/endpoint/", other->name, "/score, which is that of another endpoint"));
    }
  }
  return warnings;
}

OwnIdentity own_identity(const config::Process& process, const listening::Listeners::Change& listeners,
                         const TlsMaterial& tls) {
  std::vector<runtime::Address> own;
  for (const listening::Listeners::Change::Listener& each : listeners.listeners) {
    if (const auto address = runtime::Address::parse(std::get<0>(each.key), each.port)) own.push_back(*address);
  }
  for (const std::string* each : {&process.observe_address, &process.admin_address}) {
    const std::optional<config::HostAndPort> at = config::parse_host_and_port(*each);
    if (!at || at->port.value_or(0) == 0) continue;  // a Unix socket, or a port that the kernel chooses
    const auto address = runtime::Address::parse(at->host, *at->port);
    own.push_back(address ? *address : *runtime::Address::parse("::", *at->port));  // a name may stand for any local address
  }
  OwnIdentity identity;
  identity.addresses =
      std::make_shared<const discovery::OwnAddresses>(std::move(own), discovery::OwnAddresses::read_local_ips());
  identity.certified = certified_names(tls);
  return identity;
}

}  // namespace router::serving
