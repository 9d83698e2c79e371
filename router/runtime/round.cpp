#include "router/runtime/round.h"

#include <exception>
#include <utility>

#include "router/base/assert.h"
#include "router/runtime/contain.h"

namespace router::runtime {

/// A message that goes to its shard and comes back.
class Round::Visit final : public Message {
 public:
  Visit(Round& round, Shard& shard) : round_(round), shard_(shard) {}
  void leave() noexcept {
    is_there_ = false;
    shard_.send(*this);
  }

 private:
  void run() override {
    if (std::exchange(is_there_, true)) return round_.came_back();
    try {
      round_.on_each_(shard_);
    } catch (const std::exception& error) {
      contain(error);
    }
    round_.control_.send(*this);
  }
  void dropped() noexcept override {}

  Round& round_;
  Shard& shard_;
  bool is_there_ = false;
};

Round::Round(Shard& control, ShardSet& shards, std::function<void(Shard&)> on_each, std::function<void()> after_all)
    : control_(control), shards_(shards), on_each_(std::move(on_each)), after_all_(std::move(after_all)) {
  for (std::size_t index = 0; index < shards_.size(); ++index) {
    visits_.push_back(std::make_unique<Visit>(*this, shards_[index]));
  }
}

Round::~Round() = default;

void Round::begin() noexcept {
  ROUTER_ASSERT(left_ == 0);
  left_ = visits_.size();
  for (const std::unique_ptr<Visit>& each : visits_) each->leave();
}

void Round::came_back() {
  if (--left_ == 0) after_all_();
}

}  // namespace router::runtime
