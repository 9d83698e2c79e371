#include "router/discovery/readmission.h"

#include <algorithm>
#include <utility>

#include "router/runtime/background_task.h"

namespace router::discovery {

namespace {
constexpr std::chrono::seconds kPauseLongest{1};
}

struct Readmission::Waiting final : runtime::BackgroundTask {
  Waiting(runtime::Shard& shard, ProbeTarget to, ReturnTerms when, std::function<void()> on_well,
          std::function<void(const ProbeAnswer&)> on_answer)
      : BackgroundTask(shard, {kMemoryIsShort}),
        target(std::move(to)),
        terms(when),
        well(std::move(on_well)),
        not_yet(std::move(on_answer)) {}

  Task<void> run() override {
    TimePoint next = terms.from;
    for (Duration pause = terms.pause;; pause = std::min<Duration>(2 * pause, kPauseLongest)) {
      while (!cancelled() && now() < next) co_await wakeup().wait(next);
      if (cancelled()) co_return;
      const ProbeAnswer answer = co_await ask();
      if (cancelled()) co_return;
      if (is_well(answer)) co_return well();
      if (not_yet && !answer.why.empty()) not_yet(answer);
      next = now() + pause;
    }
  }

  Task<ProbeAnswer> ask() {
    ProbeAnswer answer;
    ProbeLimit::Permit permit;
    if (target.limit != nullptr) {
      permit = co_await target.limit->acquire(shared_from_this());
      if (cancelled()) co_return answer;
    }
    const std::optional<ProbeSlot> slot = co_await take_slot(shared_from_this(), target);
    if (cancelled() || !slot) co_return answer;
    const Deadline deadline = deadline_after(now(), target.settings.timeout);
    if (terms.accepts) {
      answer = co_await ask_for_connection(*this, target, *terms.accepts, deadline, *slot);
      if (!answer.ready() || terms.answer == ReturnTerms::Answer::kNone) co_return answer;
    }
    co_return co_await ask_for_readiness(*this, target, deadline, *slot);
  }

  bool is_well(const ProbeAnswer& answer) const {
    return answer.ready() || (terms.answer == ReturnTerms::Answer::kAny && answer.readiness == Readiness::kNotReady);
  }

  const ProbeTarget target;
  const ReturnTerms terms;
  const std::function<void()> well;
  const std::function<void(const ProbeAnswer&)> not_yet;
};

Readmission::Readmission(runtime::Shard& control, runtime::TaskGroup& group, ProbeTarget target, ReturnTerms terms,
                         std::function<void()> well, std::function<void(const ProbeAnswer&)> not_yet)
    : waiting_(std::make_shared<Waiting>(control, std::move(target), terms, std::move(well), std::move(not_yet))) {
  waiting_->begin(group);
}

Readmission::~Readmission() { waiting_->cancel(); }

}  // namespace router::discovery
