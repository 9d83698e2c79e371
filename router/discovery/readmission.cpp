#include "router/discovery/readmission.h"

#include <utility>

#include "router/discovery/asking.h"

namespace router::discovery {

namespace {
constexpr std::chrono::seconds kAskAgain{1};
}

struct Readmission::Waiting final : Asking {
  Waiting(runtime::Shard& shard, ProbeTarget to, TimePoint when, std::function<void()> tell)
      : Asking(shard), target(std::move(to)), until(when), well(std::move(tell)) {}

  Task<void> run() override {
    TimePoint next = until;
    for (;;) {
      while (!stopped() && control().now() < next) co_await wakeup().wait(next);
      if (stopped()) co_return;
      const Readiness readiness = co_await ask();
      if (stopped()) co_return;
      if (readiness == Readiness::kReady) co_return well();
      next = control().now() + kAskAgain;
    }
  }

  Task<Readiness> ask() {
    ProbeLimit::Turn turn;
    if (target.limit != nullptr) {
      turn = co_await target.limit->wait_for_turn(shared_wakeup(), stopped());
      if (stopped()) co_return Readiness::kNotAsked;
    }
    const Deadline deadline = deadline_after(control().now(), target.settings.timeout);
    co_return co_await ask_for_readiness(wakeup(), target, deadline, stopped());
  }

  const ProbeTarget target;
  const TimePoint until;
  const std::function<void()> well;
};

Readmission::Readmission(runtime::Shard& control, runtime::TaskGroup& group, ProbeTarget target, TimePoint until,
                         std::function<void()> well)
    : waiting_(std::make_shared<Waiting>(control, std::move(target), until, std::move(well))) {
  waiting_->begin(group);
}

Readmission::~Readmission() { waiting_->stop(); }

}  // namespace router::discovery
