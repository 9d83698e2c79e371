#include "router/proxy/room_search.h"

#include <utility>

#include "router/proxy/server.h"

namespace router::proxy {

RoomSearch::RoomSearch(ShardServer& requester, runtime::Wakeup& wakeup)
    : requester_(requester), wakeup_(wakeup), at_(requester.shard().index()) {}

Task<std::optional<ConnectionLimits::Permit>> RoomSearch::run_round() {
  if (requester_.siblings().size() > 1) {
    go_on();
    while (!is_home_) co_await wakeup_.wait(kNever);
  }
  co_return std::move(permit_);
}

void RoomSearch::go_on() noexcept {
  const auto shards = requester_.siblings();
  at_ = permit_ ? requester_.shard().index() : (at_ + 1) % shards.size();
  shards[at_]->shard().send(*this);
}

void RoomSearch::run() {
  if (at_ == requester_.shard().index()) {
    is_home_ = true;
    return wakeup_.wake();
  }
  if (std::optional<ConnectionLimits::Permit> permit = requester_.siblings()[at_]->make_room())
    permit_.emplace(std::move(*permit));
  go_on();
}

}  // namespace router::proxy
