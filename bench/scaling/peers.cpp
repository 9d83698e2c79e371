// Three rules of others, each from its public documentation, with its published defaults.
#include <algorithm>
#include <cmath>
#include <deque>
#include <utility>

#include "bench/scaling/rules.h"

namespace bench::scaling {
namespace {

/// Azure ML's inference router. Utilization is (busy + queued) / current replicas; above the target, replicas are added within
/// about a second; below it, removed after about a minute at polling intervals of several seconds: 20 polling intervals, here
/// of one second. https://learn.microsoft.com/azure/machine-learning/how-to-kubernetes-inference-routing-azureml-fe
class AzureMl final : public Rule {
 public:
  AzureMl(const Pods& pods, double target) : per_pod_(pods.slots * target) {}

  int replicas(const Seen& seen) override {
    const int wanted = static_cast<int>(std::ceil((seen.busy + seen.waiting) / per_pod_));
    if (wanted >= seen.replicas) {
      below_ = 0;
      return wanted;
    }
    if (++below_ < kPollsUntilDown) return seen.replicas;
    below_ = 0;
    return wanted;
  }

 private:
  static constexpr int kPollsUntilDown = 20;
  double per_pod_;
  int below_ = 0;
};

/// Knative's pod autoscaler: mean concurrency of 60 s and of 6 s, every 2 s; it panics while the shorter asks for twice the
/// ready pods. https://knative.dev/docs/serving/autoscaling/kpa-specific/
/// https://github.com/knative/serving/blob/main/pkg/autoscaler/scaling/autoscaler.go
class Kpa final : public Rule {
 public:
  Kpa(const Pods& pods, double target) : per_pod_(pods.slots * target) {}

  int replicas(const Seen& seen) override {
    sums_.push_back(seen.busy_seconds + seen.waiting_seconds);
    if (sums_.size() > kStable + 1) sums_.pop_front();
    if (std::lround(seen.now) % kTick != 0) return seen.replicas;
    const double ready = std::max(1, seen.ready);
    const double panic = std::ceil(mean(kPanic) / per_pod_);
    const double least = std::floor(ready / kDownRate);
    const double most = std::ceil(ready * kUpRate);
    const int stable_pods = static_cast<int>(std::min(std::max(std::ceil(mean(kStable) / per_pod_), least), most));
    const int panic_pods = static_cast<int>(std::min(std::max(panic, least), most));
    note_panic(seen.now, panic / ready >= kPanicThreshold);
    if (!panics_) return stable_pods;
    return panic_most_ = std::max({panic_most_, stable_pods, panic_pods});
  }

 private:
  static constexpr std::size_t kStable = 60, kPanic = 6;
  static constexpr long kTick = 2;
  static constexpr double kPanicThreshold = 2, kUpRate = 1000, kDownRate = 2;

  double mean(std::size_t seconds) const {
    const std::size_t known = std::min(seconds, sums_.size() - 1);
    return known == 0 ? sums_.back() : (sums_.back() - sums_[sums_.size() - 1 - known]) / static_cast<double>(known);
  }
  void note_panic(double now, bool over) {
    if (over) {
      panics_ = true;
      panicked_ = now;
    } else if (panics_ && now - panicked_ > static_cast<double>(kStable)) {
      panics_ = false;
      panic_most_ = 0;
    }
  }

  double per_pod_;
  std::deque<double> sums_;
  bool panics_ = false;
  double panicked_ = 0;
  int panic_most_ = 0;
};

/// Kubernetes' HorizontalPodAutoscaler on an external metric (busy + queued) of AverageValue: every 15 s, on a value that was
/// scraped up to 15 s before; tolerance 10 %; up by the greater of 4 pods and 100 % in 15 s; down to the highest of 300 s.
/// https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/
class Hpa final : public Rule {
 public:
  Hpa(const Pods& pods, double target) : per_pod_(pods.slots * target) {}

  int replicas(const Seen& seen) override {
    const long second = std::lround(seen.now);
    if (second % kPeriod == kPeriod / 2) scraped_ = seen.busy + seen.waiting;
    if (second % kPeriod != 0 || scraped_ < 0) return seen.replicas;
    const double ratio = scraped_ / per_pod_ / std::max(1, seen.replicas);
    const bool near = std::fabs(ratio - 1) <= kTolerance;
    const int wanted = near ? seen.replicas : static_cast<int>(std::ceil(scraped_ / per_pod_));
    wants_.emplace_back(seen.now, wanted);
    while (wants_.front().first < seen.now - kDownWindow) wants_.pop_front();
    if (wanted >= seen.replicas) return std::min(wanted, std::max(2 * seen.replicas, seen.replicas + 4));
    const auto highest =
        std::max_element(wants_.begin(), wants_.end(), [](auto& one, auto& another) { return one.second < another.second; });
    return std::min(seen.replicas, highest->second);
  }

 private:
  static constexpr long kPeriod = 15;
  static constexpr double kTolerance = 0.1, kDownWindow = 300;
  double per_pod_;
  double scraped_ = -1;
  std::deque<std::pair<double, int>> wants_;
};

}  // namespace

std::unique_ptr<Rule> make_azureml(const Pods& pods, double target) { return std::make_unique<AzureMl>(pods, target); }
std::unique_ptr<Rule> make_kpa(const Pods& pods, double target) { return std::make_unique<Kpa>(pods, target); }
std::unique_ptr<Rule> make_hpa(const Pods& pods, double target) { return std::make_unique<Hpa>(pods, target); }

const std::vector<NamedRule>& all_rules() {
  static const std::vector<NamedRule> rules{
      {"ours", make_ours}, {"azureml", make_azureml}, {"kpa", make_kpa}, {"hpa", make_hpa}};
  return rules;
}

}  // namespace bench::scaling
