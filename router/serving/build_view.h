#pragma once

#include <memory>
#include <string>

#include "config/config.h"
#include "router/proxy/view.h"
#include "router/serving/live_deployments.h"

namespace router::serving {

/// The next view of the data path, still without listeners and access log, upon the live objects that `change` will leave.
/// `random_via_name` is this process's name where router.yaml gives none.
/// Nothing but memory can be wrong: everything else was checked before. Control thread.
std::shared_ptr<proxy::View> build_view(const config::Config& config, const LiveDeployments& live,
                                        const LiveDeployments::Change& change, metrics::Registry& metrics,
                                        const std::string& random_via_name);

}  // namespace router::serving
