#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "config/config.h"
#include "router/model/table.h"
#include "router/proxy/networks.h"
#include "router/runtime/published.h"
#include "tls/context.h"

namespace router::proxy {

/// What the connections of one listener need.
struct ListenerSettings {
  bool proxy_protocol = false;
  std::vector<std::shared_ptr<tls::ServerContext>> tls;  // one per shard; empty: plaintext
};

/// Everything that the data path reads, built and published as one: no exchange ever sees halves of two configurations.
struct View {
  std::uint64_t generation = 0;
  model::RoutingTable table;
  config::Limits limits;
  Networks trusted_proxies;
  std::vector<ListenerSettings> listeners;  // in the order of router.yaml
};

using Views = runtime::Published<View>;

}  // namespace router::proxy
