#include "bench/scaling/rules.h"
#include "router/scaling/scaler.h"

namespace bench::scaling {
namespace {

using router::scaling::Observation;
using router::scaling::Scaler;
using router::scaling::Seconds;
using router::scaling::Signal;

constexpr router::TimePoint kBegin{std::chrono::hours(1)};

/// One member, whose signals arrive each second. Nothing else is known than in a cluster: how long pods take is measured.
class Ours final : public Rule {
 public:
  Ours(const Pods& pods, double target)
      : scaler_({.min_instances = pods.least,
                 .max_instances = pods.most,
                 .target = target,
                 .slots = static_cast<double>(pods.slots)}) {
    scaler_.set_members({"router"});
  }

  int replicas(const Seen& seen) override {
    Observation observation;
    observation.now = kBegin + std::chrono::duration_cast<router::Duration>(Seconds(seen.now));
    observation.leader_since = kBegin;
    observation.replicas = seen.replicas;
    observation.ready = seen.ready;
    scaler_.hear("router", signal_of(seen), observation.now);
    return scaler_.decide(observation).decision.replicas;
  }

 private:
  static Signal signal_of(const Seen& seen) {
    Signal signal;
    signal.uptime = Seconds(seen.now);
    signal.since_start = {.busy = seen.busy_seconds,
                          .waiting = seen.waiting_seconds,
                          .held = seen.held_seconds,
                          .told = seen.told_seconds,
                          .returns = seen.ended,
                          .arrivals = seen.arrivals,
                          .refusals = seen.refused};
    return signal;
  }

  Scaler scaler_;
};

}  // namespace

std::unique_ptr<Rule> make_ours(const Pods& pods, double target) { return std::make_unique<Ours>(pods, target); }

}  // namespace bench::scaling
