#include "router/client_contexts.h"

namespace router {

absl::StatusOr<ClientContexts::Set> ClientContexts::get(const config::UpstreamTls& settings) {
  // Authorities of which no use is made are not read either.
  const std::pair<bool, std::string> key(settings.verify, settings.verify ? settings.ca_file : "");
  if (const auto known = made_.find(key); known != made_.end()) return known->second;
  tls::ClientOptions options;
  options.verify = settings.verify;
  options.ca_file = settings.ca_file;
  absl::StatusOr<Set> contexts = tls::ClientContext::make(options, shards_ + 1);
  if (contexts.ok()) made_.emplace(key, *contexts);
  return contexts;
}

}  // namespace router
