#pragma once

#include <memory>
#include <string>

#include "config/config.h"
#include "router/proxy/view.h"
#include "router/serving/live_deployments.h"

namespace router::serving {

/// Builds the next view of the data path, without listeners and access log, from `config` and the live objects that exist once
/// `change` is applied. `random_via_name` is this process's name in `Via` if router.yaml gives none. Fails only with
/// std::bad_alloc, since everything else was checked before. Control thread.
std::shared_ptr<proxy::View> build_view(const config::Config& config, const LiveDeployments& live,
                                        const LiveDeployments::Change& change, metrics::Registry& metrics,
                                        const std::string& random_via_name);

}  // namespace router::serving
