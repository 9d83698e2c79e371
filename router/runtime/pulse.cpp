#include "router/runtime/pulse.h"

#include <algorithm>
#include <string>
#include <utility>

#include "router/base/log.h"

namespace router::runtime {

/// A message that goes to its shard and comes back. On the shard only `is_there_` is used; the rest belongs to the control
/// thread.
class Pulse::Beat final : public Message {
 public:
  Beat(Shard& control, Shard& shard) : control_(control), shard_(shard) {}

  void look(Duration passed) noexcept {
    if (!away_) return leave();
    waited_ += passed;
    if (waited_ < kHangs || std::exchange(told_, true)) return;
    log::write(log::Level::kError, {"shard ", std::to_string(shard_.index()), " has not turned for ",
                                    std::to_string(kHangs.count()), " s: its connections are not served"});
  }
  bool hangs() const { return waited_ >= kHangs; }
  Hanging hanging() const { return {shard_.index(), waited_}; }

 private:
  void leave() noexcept {
    away_ = true;
    is_there_ = false;
    shard_.send(*this);
  }
  void run() override {
    if (!std::exchange(is_there_, true)) return control_.send(*this);
    away_ = false;
    waited_ = {};
    if (std::exchange(told_, false))
      log::write(log::Level::kWarning, {"shard ", std::to_string(shard_.index()), " turns again"});
  }
  void dropped() noexcept override {}

  Shard& control_;
  Shard& shard_;
  bool is_there_ = false;  // used on the thread that has the message
  bool away_ = false;
  bool told_ = false;
  Duration waited_{};
};

Pulse::Pulse(Shard& control, ShardSet& shards) : control_(control) {
  for (std::size_t index = 0; index < shards.size(); ++index) beats_.push_back(std::make_unique<Beat>(control, shards[index]));
  control_.schedule(*this, kNever);  // reserves an entry in the timer queue: `expired` needs no memory
}

Pulse::~Pulse() = default;

void Pulse::start() noexcept {
  looked_ = control_.now();
  expired();
}

void Pulse::expired() {
  const TimePoint now = control_.now();
  const Duration passed = std::min<Duration>(now - std::exchange(looked_, now), 2 * kEvery);
  control_.schedule(*this, now + kEvery);
  for (const std::unique_ptr<Beat>& each : beats_) each->look(passed);
}

std::vector<Pulse::Hanging> Pulse::hanging() const {
  std::vector<Hanging> found;
  for (const std::unique_ptr<Beat>& each : beats_) {
    if (each->hangs()) found.push_back(each->hanging());
  }
  return found;
}

}  // namespace router::runtime
