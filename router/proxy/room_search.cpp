#include "router/proxy/room_search.h"

#include <utility>

#include "router/proxy/server.h"

namespace router::proxy {

RoomSearch::RoomSearch(ShardServer& home, runtime::Wakeup& wakeup) : home_(home), wakeup_(wakeup), at_(home.shard().index()) {}

Task<std::optional<ConnectionLimits::Permit>> RoomSearch::run_round() {
  if (home_.siblings().size() > 1) {
    go_on();
    while (!is_home_) co_await wakeup_.wait(kNever);
  }
  co_return std::move(permit_);
}

void RoomSearch::go_on() noexcept {
  const auto shards = home_.siblings();
  at_ = permit_ ? home_.shard().index() : (at_ + 1) % shards.size();
  shards[at_]->shard().send(*this);
}

void RoomSearch::run() {
  if (at_ == home_.shard().index()) {
    is_home_ = true;
    return wakeup_.wake();
  }
  if (std::optional<ConnectionLimits::Permit> permit = home_.siblings()[at_]->make_room()) permit_.emplace(std::move(*permit));
  go_on();
}

}  // namespace router::proxy
