#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "config/config.h"
#include "router/http/via.h"
#include "router/model/table.h"
#include "router/proxy/networks.h"
#include "router/runtime/line_writer.h"
#include "router/runtime/published.h"
#include "router/upstream/peers.h"
#include "tls/context.h"

namespace router::proxy {

/// Identifies a listener from opening to closing, independent of its position in router.yaml; never used again.
using ListenerId = std::uint64_t;

/// The settings that the connections of one listener need.
struct ListenerSettings {
  bool proxy_protocol = false;
  std::vector<std::shared_ptr<tls::ServerContext>> tls;  // one per shard; empty: plaintext
};

/// Everything that the data path reads, built and published as one object, so that no exchange sees parts of two
/// configurations.
struct View {
  std::uint64_t generation = 0;
  model::RoutingTable table;
  config::Limits limits;
  Networks trusted_proxies;
  http::Via via;  // this installation's name in Via
  std::unordered_map<ListenerId, ListenerSettings> listeners;
  std::shared_ptr<const upstream::Peers> peers;     // the other routers of the fleet; nullptr: there is no fleet
  std::shared_ptr<runtime::LineWriter> access_log;  // null: no access log
  bool log_client_ip = true;                        // the access log contains ClientIP
  bool per_replica = false;                         // replicas have metrics of their own
};

using Views = runtime::Published<View>;

}  // namespace router::proxy
