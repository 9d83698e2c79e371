#include "router/discovery/scoring_uri.h"

#include <absl/strings/str_cat.h>

#include "router/base/host_port.h"

namespace router::discovery {
namespace {

/// Chooses the scheme by the Service's port, since the Service does not show whether its listener serves TLS.
std::string origin_of(const std::string& host, std::uint16_t port) {
  const bool is_tls = port == 443;
  std::string origin = absl::StrCat(is_tls ? "https://" : "http://", bracketed_host(host));
  if (port != 0 && port != 80 && port != 443) absl::StrAppend(&origin, ":", port);
  return origin;
}

std::string own_origin(const PublicAddress& address) {
  if (!address.url.empty()) return address.url.ends_with('/') ? address.url.substr(0, address.url.size() - 1) : address.url;
  if (!address.ssl_cname.empty()) return "https://" + address.ssl_cname;
  const OwnService& service = address.own_service;
  if (!service.load_balancer.empty()) return origin_of(service.load_balancer, service.port);
  if (address.service.empty()) return "";
  return origin_of(absl::StrCat(address.service, ".", address.service_namespace, ".svc"), service.port);
}

}  // namespace

std::string scoring_uri(const config::Endpoint& endpoint, const PublicAddress& address) {
  if (!endpoint.hostnames.empty()) {
    return absl::StrCat(address.serves_tls ? "https://" : "http://", endpoint.hostnames.front(), "/score");
  }
  const std::string origin = own_origin(address);
  return origin.empty() ? "" : absl::StrCat(origin, "/api/v1/endpoint/", endpoint.name, "/score");
}

}  // namespace router::discovery
