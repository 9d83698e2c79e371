#include "router/serving/fleet_requests.h"

#include <absl/status/statusor.h>

#include <utility>

#include "router/runtime/socket.h"

namespace router::serving {

absl::Status FleetRequests::replace_keys(const tls::PskKeys& keys) {
  auto contexts = tls::PskServerContext::make(keys, tls::PskPurpose::kRequests, shards_.size());
  if (!contexts.ok()) return contexts.status();
  shards_.post_to_all([this, contexts = std::move(*contexts)](const runtime::Shard& shard) {
    contexts_[shard.index()] = contexts[shard.index()];
  });
  return absl::OkStatus();
}

void FleetRequests::take(runtime::Descriptor socket) {
  runtime::Shard& shard = shards_[next_];
  next_ = (next_ + 1) % shards_.size();
  shard.post([this, &shard, socket = std::move(socket)]() mutable {
    const std::shared_ptr<tls::PskServerContext>& context = contexts_[shard.index()];
    if (context == nullptr) return;
    runtime::Socket taken(shard, socket.release(), runtime::Precedence::kLater);
    servers_[shard.index()]->serve_member(std::move(taken), context);
  });
}

}  // namespace router::serving
