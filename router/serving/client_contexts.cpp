#include "router/serving/client_contexts.h"

namespace router::serving {

/// Without verification the file of authorities is not read, so it is not part of the key.
ClientContexts::Key ClientContexts::key_of(const config::UpstreamTls& settings) {
  return {settings.verify, settings.verify ? settings.ca_file : ""};
}

absl::StatusOr<ClientContexts::Set> ClientContexts::make(const Key& key, const tls::ClientOptions& options) {
  if (const auto known = made_.find(key); known != made_.end()) return known->second;
  absl::StatusOr<Set> contexts = tls::ClientContext::make(options, shards_ + 1);
  if (contexts.ok()) made_.emplace(key, *contexts);
  return contexts;
}

absl::StatusOr<ClientContexts::Set> ClientContexts::get(const config::UpstreamTls& settings) {
  tls::ClientOptions options;
  options.verify = settings.verify;
  options.ca_file = settings.ca_file;
  return make(key_of(settings), options);
}

std::optional<ClientContexts::Set> ClientContexts::take_over(const config::UpstreamTls& settings,
                                                             const ClientContexts& before) {
  const auto known = before.made_.find(key_of(settings));
  if (known == before.made_.end()) return std::nullopt;
  return made_.insert(*known).first->second;
}

absl::StatusOr<ClientContexts::Set> ClientContexts::closed() {
  tls::ClientOptions options;
  options.trust_nobody = true;
  return make({false, "nobody"}, options);  // no other set has this key: without `verify` the file is ""
}

}  // namespace router::serving
