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
#include "tls/context.h"

namespace router::proxy {

/// Names a listener from its opening to its closing, whatever router.yaml puts before it; never given again.
using ListenerId = std::uint64_t;

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
  http::Via via;  // this installation's mark
  std::unordered_map<ListenerId, ListenerSettings> listeners;
  std::shared_ptr<runtime::LineWriter> access_log;  // null: none. An exchange is told where it was begun
  bool log_client_ip = true;                        // in its lines
  bool per_replica = false;                         // replicas have figures of their own
};

using Views = runtime::Published<View>;

}  // namespace router::proxy
