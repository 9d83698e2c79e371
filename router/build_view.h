#pragma once

#include <memory>

#include "config/config.h"
#include "router/live_deployments.h"
#include "router/proxy/view.h"

namespace router {

/// The next view of the data path, still without listeners and access log. Cannot fail: everything that can was checked before.
/// Control thread.
std::shared_ptr<proxy::View> build_view(const config::Config& config, const LiveDeployments& live, metrics::Registry& metrics,
                                        std::uint64_t generation);

}  // namespace router
