#include "router/upstream/replica.h"

#include <utility>

#include "router/upstream/connection.h"

namespace router::upstream {

Replica::Replica(ReplicaOptions options)
    : dispatch::Replica(std::move(options.name), options.slots, std::move(options.pod)),
      host_(std::move(options.host)),
      address_(options.address),
      transport_(std::move(options.transport)),
      generation_(options.generation),
      is_router_(options.is_router),
      idle_max_(options.idle_max),
      habits_(std::make_shared<ClosingHabits>(name(), options.shards, options.is_router)),
      pools_(options.shards) {}

Replica::~Replica() {
  for (ShardPool& pool : pools_) {
    for (std::shared_ptr<Connection>& connection : pool.idle) Connection::end_at_home(std::move(connection));
  }
}

void Replica::retire_pool(std::size_t shard) {
  pools_[shard].retired = true;
  const Pool ended = std::exchange(pools_[shard].idle, {});
}

std::uint64_t Replica::exchanges_finished() const {
  std::uint64_t sum = 0;
  for (const ShardPool& pool : pools_) sum += pool.finished.value();
  return sum;
}

Replica::Figures Replica::figures() const {
  Figures sum;
  for (const ShardPool& pool : pools_) {
    sum.requests += pool.requests.value();
    sum.answers += pool.answers.value();
    sum.first_byte_nanoseconds += pool.first_byte.value();
  }
  return sum;
}

const std::string& Replica::server_name() const {
  return transport_ != nullptr && !transport_->server_name.empty() ? transport_->server_name : host_;
}

}  // namespace router::upstream
