#pragma once

#include <absl/status/statusor.h>

#include <memory>

#include "config/config.h"
#include "router/live_deployments.h"
#include "router/proxy/view.h"

namespace router {

/// Listeners' TLS contexts, one set per listener. Fails with the listener's place in router.yaml and the file.
absl::StatusOr<std::vector<proxy::ListenerSettings>> load_listeners(const config::Process& process,
                                                                    const std::shared_ptr<tls::TicketKeys>& ticket_keys,
                                                                    std::size_t shards);

/// The next view of the data path. Cannot fail: everything that can was checked before. Control thread.
std::shared_ptr<const proxy::View> build_view(const config::Config& config, const LiveDeployments& live,
                                              metrics::Registry& metrics, std::vector<proxy::ListenerSettings> listeners,
                                              std::uint64_t generation);

}  // namespace router
