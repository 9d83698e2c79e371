#include "router/serving/withdrawals.h"

#include <algorithm>
#include <utility>

#include "router/dispatch/request_queue.h"

namespace router::serving {
namespace {

constexpr std::chrono::milliseconds kTryAgain{100};

}  // namespace

Withdrawals::Withdrawals(runtime::Shard& control, const LiveDeployments& live) : control_(control), live_(live) {
  control_.schedule(*this, kNever);  // reserves the timer's entry, so that later calls need no memory
}

void Withdrawals::say(const std::string& speaker, std::set<std::string> pods, Duration how_long) {
  control_.schedule(*this, control_.now() + kTryAgain);  // first: what follows may throw
  if (sayings_.size() >= kSpeakersMax && !sayings_.contains(speaker)) return;
  Saying& saying = sayings_[speaker];
  saying.pods = std::move(pods);
  saying.until = control_.now() + std::min<Duration>(how_long, kLongest);
  apply();
}

void Withdrawals::expired() {
  control_.schedule(*this, control_.now() + kTryAgain);
  apply();
}

bool Withdrawals::wanted(const std::string& pod) const {
  return std::any_of(sayings_.begin(), sayings_.end(), [&pod](const auto& each) { return each.second.pods.contains(pod); });
}

void Withdrawals::apply() {
  const TimePoint now = control_.now();
  std::erase_if(sayings_, [now](const auto& each) { return each.second.until <= now || each.second.pods.empty(); });
  std::erase_if(withdrawn_, [this](const auto& each) {
    const bool goes_back = !wanted(each.first);
    if (goes_back) dispatch::RequestQueue::set_withdrawn(*each.second, false);
    return goes_back;
  });
  if (sayings_.empty()) return control_.schedule(*this, kNever);
  for (const auto& [key, deployment] : live_.all()) {
    for (const auto& [name, replica] : deployment->replicas) {
      if (!wanted(replica.pod)) continue;
      std::shared_ptr<dispatch::PodSlots>& slots = withdrawn_[replica.pod];
      slots = replica.replica->pod();
      dispatch::RequestQueue::set_withdrawn(*slots, true);
    }
  }
  const auto first = std::min_element(sayings_.begin(), sayings_.end(),
                                      [](const auto& a, const auto& b) { return a.second.until < b.second.until; });
  control_.schedule(*this, first->second.until);
}

std::uint64_t Withdrawals::running(const std::string& pod) const {
  const auto found = withdrawn_.find(pod);
  return found != withdrawn_.end() ? found->second->in_use() : 0;
}

void Withdrawals::stop() noexcept {
  control_.schedule(*this, kNever);
  for (const auto& [pod, slots] : withdrawn_) dispatch::RequestQueue::set_withdrawn(*slots, false);
  withdrawn_.clear();
  sayings_.clear();
}

}  // namespace router::serving
