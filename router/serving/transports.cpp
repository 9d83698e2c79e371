#include "router/serving/transports.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

namespace router::serving {
namespace {

/// The contexts of a deployment whose file of authorities cannot be used.
absl::StatusOr<ClientContexts::Set> without_file(const config::UpstreamTls& settings, ClientContexts& contexts,
                                                 const absl::Status& why, config::Findings& findings,
                                                 UnusableAuthorities& unusable) {
  std::optional<ClientContexts::Set> before;
  if (unusable.in_force != nullptr) before = contexts.take_over(settings, *unusable.in_force);
  findings.warning(
      settings.ca_location,
      absl::StrCat(why.message(), before ? "; the authorities that it held stay in force"
                                         : "; no replica is trusted, so the deployment is closed until it can be read"));
  const auto same = [&settings](const config::UpstreamTls& other) { return other.ca_file == settings.ca_file; };
  if (std::none_of(unusable.refused.begin(), unusable.refused.end(), same)) unusable.refused.push_back(settings);
  return before ? *before : contexts.closed();
}

}  // namespace

Transports load_transports(const std::vector<const config::Deployment*>& deployments, ClientContexts& contexts,
                           config::Findings& findings, UnusableAuthorities& unusable) {
  Transports transports;
  for (const config::Deployment* deployment : deployments) {
    if (!deployment->tls) continue;
    absl::StatusOr<ClientContexts::Set> set = contexts.get(*deployment->tls);
    if (!set.ok() && !unusable.is_mistake) set = without_file(*deployment->tls, contexts, set.status(), findings, unusable);
    if (!set.ok()) {
      findings.mistake(deployment->tls->ca_location, std::string(set.status().message()));
      continue;
    }
    auto transport = std::make_shared<upstream::Transport>();
    transport->contexts = std::move(*set);
    transport->server_name = deployment->tls->server_name;
    transports[deployment_key(*deployment)] = std::move(transport);
  }
  return transports;
}

}  // namespace router::serving
