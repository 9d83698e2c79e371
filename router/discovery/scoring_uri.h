#pragma once

#include <cstdint>
#include <string>

#include "config/config.h"

namespace router::discovery {

/// The router's own Service as the API server shows it.
struct OwnService {
  std::string load_balancer;  // host name or address that was given to it; empty: none (yet)
  std::uint16_t port = 0;     // 443 if it has that one, else its first; 0: not known
};

/// By what clients may reach this router, as far as that is known.
struct PublicAddress {
  std::string url;        // `public_url`
  std::string ssl_cname;  // likewise
  std::string service;    // name and namespace of the router's own Service; empty: not known
  std::string service_namespace;
  OwnService own_service;
  bool serves_tls = false;  // a listener does
};

/// Where clients score: at the endpoint's first host name, else at `public_url`, `ssl_cname`, the load balancer or the name of
/// the router's own Service, whichever is known first; empty if none is.
std::string scoring_uri(const config::Endpoint& endpoint, const PublicAddress& address);

}  // namespace router::discovery
