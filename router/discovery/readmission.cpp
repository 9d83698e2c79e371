#include "router/discovery/readmission.h"

#include <utility>

namespace router::discovery {

namespace {
constexpr std::chrono::seconds kAskAgain{1};
}

/// Lives until its coroutine has ended, which may be after the Readmission.
struct Readmission::Waiting {
  Waiting(runtime::Shard& control, ProbeTarget to, TimePoint when, std::function<void()> tell)
      : target(std::move(to)), until(when), well(std::move(tell)), wakeup(control) {}

  static Task<void> run(std::shared_ptr<Waiting> self) {
    TimePoint next = self->until;
    for (;;) {
      while (!self->stopped && self->wakeup.shard().now() < next) co_await self->wakeup.wait(next);
      if (self->stopped) co_return;
      const Readiness readiness = co_await ask(self);
      if (self->stopped) co_return;
      if (readiness == Readiness::kReady) co_return self->well();
      next = self->wakeup.shard().now() + kAskAgain;
    }
  }

  static Task<Readiness> ask(std::shared_ptr<Waiting> self) {
    ProbeLimit::Turn turn;
    if (self->target.limit != nullptr) {
      const std::shared_ptr<runtime::Wakeup> shared_wakeup(self, &self->wakeup);
      turn = co_await self->target.limit->wait_for_turn(shared_wakeup, self->stopped);
      if (self->stopped) co_return Readiness::kNotAsked;
    }
    const Deadline deadline = deadline_after(self->wakeup.shard().now(), self->target.settings.timeout);
    co_return co_await ask_for_readiness(self->wakeup, self->target, deadline, self->stopped);
  }

  const ProbeTarget target;
  const TimePoint until;
  const std::function<void()> well;
  runtime::Wakeup wakeup;
  bool stopped = false;
};

Readmission::Readmission(runtime::Shard& control, runtime::TaskGroup& group, ProbeTarget target, TimePoint until,
                         std::function<void()> well)
    : waiting_(std::make_shared<Waiting>(control, std::move(target), until, std::move(well))) {
  control.post([&group, waiting = waiting_] {
    if (!waiting->stopped) group.try_spawn(Waiting::run(waiting));
  });
}

Readmission::~Readmission() {
  waiting_->stopped = true;
  waiting_->wakeup.shard().post([waiting = waiting_] { waiting->wakeup.wake(); });
}

}  // namespace router::discovery
