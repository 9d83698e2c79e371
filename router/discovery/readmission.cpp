#include "router/discovery/readmission.h"

#include <algorithm>
#include <utility>

#include "router/discovery/asking.h"

namespace router::discovery {

namespace {
constexpr std::chrono::seconds kPauseLongest{1};
}

struct Readmission::Waiting final : Asking {
  Waiting(runtime::Shard& shard, ProbeTarget to, ReturnTerms when, std::function<void()> tell)
      : Asking(shard), target(std::move(to)), terms(when), well(std::move(tell)) {}

  Task<void> run() override {
    TimePoint next = terms.from;
    for (Duration pause = terms.pause;; pause = std::min<Duration>(2 * pause, kPauseLongest)) {
      while (!stopped() && control().now() < next) co_await wakeup().wait(next);
      if (stopped()) co_return;
      const bool does_well = co_await ask();
      if (stopped()) co_return;
      if (does_well) co_return well();
      next = control().now() + pause;
    }
  }

  Task<bool> ask() {
    ProbeLimit::Turn turn;
    if (target.limit != nullptr) {
      turn = co_await target.limit->wait_for_turn(shared_wakeup(), stopped());
      if (stopped()) co_return false;
    }
    const Deadline deadline = deadline_after(control().now(), target.settings.timeout);
    if (terms.accepts) {
      const Readiness accepted = co_await ask_for_connection(wakeup(), *terms.accepts, deadline, stopped());
      if (accepted != Readiness::kReady) co_return false;
    }
    if (terms.answer == ReturnTerms::Answer::kNone) co_return true;
    const Readiness answered = co_await ask_for_readiness(wakeup(), target, deadline, stopped());
    const bool any = terms.answer == ReturnTerms::Answer::kAny && answered == Readiness::kNotReady;
    co_return answered == Readiness::kReady || any;
  }

  const ProbeTarget target;
  const ReturnTerms terms;
  const std::function<void()> well;
};

Readmission::Readmission(runtime::Shard& control, runtime::TaskGroup& group, ProbeTarget target, ReturnTerms terms,
                         std::function<void()> well)
    : waiting_(std::make_shared<Waiting>(control, std::move(target), terms, std::move(well))) {
  waiting_->begin(group);
}

Readmission::~Readmission() { waiting_->stop(); }

}  // namespace router::discovery
