#include "router/scaling/scaler.h"

#include <algorithm>

namespace router::scaling {
namespace {
constexpr std::size_t kForeignMost = 3;
constexpr std::chrono::minutes kForeignWithin{10};
}  // namespace

Scaler::Scaler(const Settings& settings)
    : settings_(settings),
      signals_(longest_averaging(settings)),
      peaks_(SlidingExtreme::Which::kMost, peak_window(settings)),
      kept_(SlidingExtreme::Which::kMost, longest_window(settings)) {}

void Scaler::configure(const Settings& settings) {
  signals_.set_longest(longest_averaging(settings));
  peaks_.set_longest(peak_window(settings));
  kept_.set_longest(longest_window(settings));
  settings_ = settings;
  foreign_.clear();
  contested_ = false;
}

void Scaler::begin(bool paused) {
  starts_ = PodStarts();
  peaks_ = SlidingExtreme(SlidingExtreme::Which::kMost, peak_window(settings_));
  kept_ = SlidingExtreme(SlidingExtreme::Which::kMost, longest_window(settings_));
  steps_ = SlidingExtreme(SlidingExtreme::Which::kLeast, kStepTime);
  foreign_.clear();
  contested_ = false;
  paused_ = paused;
  last_request_ = {};
}

Figures Scaler::glance() {
  held_.add(signals_.take_returns());
  Figures figures;
  figures.settings = settings_;
  figures.pod_start = starts_.median();
  figures.averaged = averaging(settings_, figures.pod_start);
  figures.load = signals_.load(figures.averaged);
  figures.held = held_.value();
  figures.requests_waking = figures.load.waking > 0;
  return figures;
}

void Scaler::note_foreign_change(const Observation& seen, Seconds window) {
  if (seen.replicas > 0) paused_ = false;
  if (seen.foreign_change) {
    foreign_.push_back(seen.now);
    if (foreign_.size() > kForeignMost) foreign_.pop_front();
    paused_ = seen.replicas == 0;
    contested_ = contested_ || (foreign_.size() == kForeignMost && seen.now - foreign_.front() <= kForeignWithin);
  }
  // Older ones can matter no more, neither for the window nor for the count.
  while (!foreign_.empty() && Seconds(seen.now - foreign_.front()) > std::max(window, Seconds(kForeignWithin)))
    foreign_.pop_front();
}

void Scaler::note_requests(const Observation& seen, const Load& load) {
  const bool any = load.busy + load.waiting + load.waking + load.arrivals > 0 || seen.wake;
  // A new leader knows of no request before its time.
  last_request_ = any ? seen.now : std::max(last_request_, seen.leader_since);
}

Outcome Scaler::decide(const Observation& seen) {
  starts_.see(seen.now, seen.replicas, seen.ready, seen.rollout);
  Figures figures = glance();
  figures.window = window(settings_, figures.pod_start);
  figures.replicas = seen.replicas;
  figures.ready = seen.ready;
  figures.rollout = seen.rollout;
  figures.hindrance = seen.hindrance;
  figures.leader_age = seen.now - seen.leader_since;
  figures.asked_for = starts_.asked_for(seen.now);
  figures.signals_complete = signals_.complete(seen.now, kSilentTicks * settings_.polling_interval);
  figures.requests_waking = seen.wake || figures.load.waking > 0;
  remember(seen, figures);
  return {.figures = figures, .decision = scaling::decide(figures)};
}

/// Replicas for a short burst are kept for a short time; those that the load needed for long, for ten starts of a pod.
int Scaler::highest_want(TimePoint now, const Figures& figures) {
  Figures longer = figures;
  longer.load = signals_.load(std::max(kKeptMean, figures.averaged));
  const int peak = peaks_.add(now, want_of(figures), peak_window(settings_));
  return std::max(peak, kept_.add(now, want_of(longer), figures.window));
}

/// What depends on earlier times.
void Scaler::remember(const Observation& seen, Figures& figures) {
  note_foreign_change(seen, figures.window);
  note_requests(seen, figures.load);
  figures.replicas_before = steps_.add(seen.now, seen.replicas, kStepTime);
  figures.highest_want = highest_want(seen.now, figures);
  figures.idle = seen.now - last_request_;
  figures.foreign_lately = !foreign_.empty() && Seconds(seen.now - foreign_.back()) < figures.window;
  figures.paused = paused_;
  figures.contested = contested_;
}

}  // namespace router::scaling
