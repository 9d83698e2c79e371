#include "router/discovery/readmission.h"

#include <algorithm>
#include <utility>

#include "router/discovery/asking.h"

namespace router::discovery {

namespace {
constexpr std::chrono::seconds kPauseLongest{1};
}

struct Readmission::Waiting final : Asking {
  Waiting(runtime::Shard& shard, ProbeTarget to, ReturnTerms when, std::function<void()> tell,
          std::function<void(const ProbeAnswer&)> tell_each)
      : Asking(shard), target(std::move(to)), terms(when), well(std::move(tell)), not_yet(std::move(tell_each)) {}

  Task<void> run() override {
    TimePoint next = terms.from;
    for (Duration pause = terms.pause;; pause = std::min<Duration>(2 * pause, kPauseLongest)) {
      while (!stopped() && control().now() < next) co_await wakeup().wait(next);
      if (stopped()) co_return;
      const ProbeAnswer answer = co_await ask();
      if (stopped()) co_return;
      if (is_well(answer)) co_return well();
      if (not_yet && !answer.why.empty()) not_yet(answer);
      next = control().now() + pause;
    }
  }

  Task<ProbeAnswer> ask() {
    ProbeAnswer answer;
    ProbeLimit::Turn turn;
    if (target.limit != nullptr) {
      turn = co_await target.limit->wait_for_turn(shared_wakeup(), stopped());
      if (stopped()) co_return answer;
    }
    const std::optional<HeldSlot> slot = co_await take_slot(shared_wakeup(), target, stopped());
    if (stopped() || !slot) co_return answer;
    const Deadline deadline = deadline_after(control().now(), target.settings.timeout);
    if (terms.accepts) {
      answer = co_await ask_for_connection(wakeup(), target, *terms.accepts, deadline, stopped(), *slot);
      if (!answer.ready() || terms.answer == ReturnTerms::Answer::kNone) co_return answer;
    }
    co_return co_await ask_for_readiness(wakeup(), target, deadline, stopped(), *slot);
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

Readmission::~Readmission() { waiting_->stop(); }

}  // namespace router::discovery
