#pragma once

#include <cstdint>
#include <string>

#include "config/config.h"

namespace router::discovery {

/// The router's own Service, as the API server shows it.
struct OwnService {
  std::string load_balancer;  // host name or address of its load balancer; empty: none (yet)
  std::uint16_t port = 0;     // 443 if the Service has it, else its first port; 0: not known
};

/// The addresses by which clients can reach this router, as far as they are known.
struct PublicAddress {
  std::string url;        // the setting `public_url`
  std::string ssl_cname;  // the setting `ssl_cname`
  std::string service;    // name and namespace of the router's own Service; empty: not known
  std::string service_namespace;
  OwnService own_service;
  bool serves_tls = false;  // a listener serves TLS
};

/// The URI to which clients send scoring requests: at the endpoint's first host name, else at the first of these that is known:
/// `public_url`, `ssl_cname`, the load balancer or the name of the router's own Service. Empty if none is known.
std::string scoring_uri(const config::Endpoint& endpoint, const PublicAddress& address);

}  // namespace router::discovery
