#include "router/upstream/peers.h"

namespace router::upstream {
namespace {

std::shared_ptr<Replica> replica_for(PeerOptions& options) {
  return std::make_shared<Replica>(ReplicaOptions{.name = options.member,
                                                  .slots = 0,
                                                  .host = std::move(options.host),
                                                  .address = options.address,
                                                  .transport = std::move(options.transport),
                                                  .shards = options.shards,
                                                  .is_router = true,
                                                  .idle_max = options.connections_kept});
}

}  // namespace

Peer::Peer(PeerOptions options, const Clock& clock)
    : member_(options.member),
      waiting_max_(options.waiting_max),
      replica_(replica_for(options)),
      queue_(std::make_shared<dispatch::RequestQueue>(dispatch::QueueOptions{options.waiting_max}, clock)) {
  queue_->set_replicas({replica_});
  queue_->set_ready(replica_, true);
}

Peer::~Peer() { queue_->close(); }

void Peer::forgive() {
  if (queue_->condition(replica_).state != dispatch::Health::State::kWell) queue_->readmit(replica_);
}

Peer::Place Peer::enter() noexcept {
  if (waiting_.fetch_add(1, std::memory_order_relaxed) < waiting_max_) return Place(this);
  waiting_.fetch_sub(1, std::memory_order_relaxed);
  return {};
}

}  // namespace router::upstream
