#include "router/discovery/readmission.h"

#include <algorithm>
#include <utility>

namespace router::discovery {

namespace {
constexpr std::chrono::seconds kPauseLongest{1};
}

/// Lives until its coroutine has ended, which may be after the Readmission.
struct Readmission::Waiting {
  Waiting(runtime::Shard& control, ProbeTarget to, ReturnTerms when, std::function<void()> tell)
      : target(std::move(to)), terms(std::move(when)), well(std::move(tell)), wakeup(control) {}

  static Task<void> run(std::shared_ptr<Waiting> self) {
    TimePoint next = self->terms.from;
    for (Duration pause = self->terms.pause;; pause = std::min<Duration>(2 * pause, kPauseLongest)) {
      while (!self->stopped && self->wakeup.shard().now() < next) co_await self->wakeup.wait(next);
      if (self->stopped) co_return;
      const bool does_well = co_await ask(self);
      if (self->stopped) co_return;
      if (does_well) co_return self->well();
      next = self->wakeup.shard().now() + pause;
    }
  }

  static Task<bool> ask(std::shared_ptr<Waiting> self) {
    ProbeLimit::Turn turn;
    if (self->target.limit != nullptr) {
      const std::shared_ptr<runtime::Wakeup> shared_wakeup(self, &self->wakeup);
      turn = co_await self->target.limit->wait_for_turn(shared_wakeup, self->stopped);
      if (self->stopped) co_return false;
    }
    const Deadline deadline = deadline_after(self->wakeup.shard().now(), self->target.settings.timeout);
    if (self->terms.accepts) {
      const Readiness accepted = co_await ask_for_connection(self->wakeup, *self->terms.accepts, deadline, self->stopped);
      if (accepted != Readiness::kReady) co_return false;
    }
    if (self->terms.answer == ReturnTerms::Answer::kNone) co_return true;
    const Readiness answered = co_await ask_for_readiness(self->wakeup, self->target, deadline, self->stopped);
    const bool any = self->terms.answer == ReturnTerms::Answer::kAny && answered == Readiness::kNotReady;
    co_return answered == Readiness::kReady || any;
  }

  const ProbeTarget target;
  const ReturnTerms terms;
  const std::function<void()> well;
  runtime::Wakeup wakeup;
  bool stopped = false;
};

Readmission::Readmission(runtime::Shard& control, runtime::TaskGroup& group, ProbeTarget target, ReturnTerms terms,
                         std::function<void()> well)
    : waiting_(std::make_shared<Waiting>(control, std::move(target), std::move(terms), std::move(well))) {
  control.post([&group, waiting = waiting_] {
    if (!waiting->stopped) group.try_spawn(Waiting::run(waiting));
  });
}

Readmission::~Readmission() {
  waiting_->stopped = true;
  waiting_->wakeup.shard().post([waiting = waiting_] { waiting->wakeup.wake(); });
}

}  // namespace router::discovery
