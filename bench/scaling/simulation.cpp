#include "bench/scaling/simulation.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <functional>
#include <limits>
#include <queue>

namespace bench::scaling {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();
constexpr std::size_t kQueueLeast = 64;

/// The ready pods by the number of their requests, so that the one with the fewest is found at once.
class ReadyPods {
 public:
  explicit ReadyPods(int slots) : by_busy_(static_cast<std::size_t>(slots) + 1) {}

  int count() const { return count_; }
  void add() {
    pods_.push_back({});
    insert(pods_.size() - 1);
    ++count_;
  }
  /// The pod that takes a request; there must be a free slot.
  std::size_t take() {
    const std::size_t pod = fewest();
    erase(pod);
    ++pods_[pod].busy;
    insert(pod);
    ++busy_;
    return pod;
  }
  bool has_free() const { return busy_ < static_cast<long>(count_) * static_cast<long>(by_busy_.size() - 1); }
  /// True if the pod was being given up and this was its last request.
  bool give_back(std::size_t pod) {
    Pod& changed = pods_[pod];
    if (changed.leaving) return --changed.busy == 0;
    erase(pod);
    --changed.busy;
    insert(pod);
    --busy_;
    return false;
  }
  /// Gives up the pod with the fewest requests. True if it is gone at once.
  bool remove() {
    const std::size_t pod = fewest();
    erase(pod);
    pods_[pod].leaving = true;
    --count_;
    busy_ -= pods_[pod].busy;
    return pods_[pod].busy == 0;
  }

 private:
  struct Pod {
    int busy = 0;
    bool leaving = false;
    std::size_t place = 0;  // in its list
  };
  std::vector<std::size_t>& list_of(std::size_t pod) { return by_busy_[static_cast<std::size_t>(pods_[pod].busy)]; }
  std::size_t fewest() const {
    return std::find_if(by_busy_.begin(), by_busy_.end(), [](const auto& list) { return !list.empty(); })->back();
  }
  void insert(std::size_t pod) {
    pods_[pod].place = list_of(pod).size();
    list_of(pod).push_back(pod);
  }
  void erase(std::size_t pod) {
    std::vector<std::size_t>& list = list_of(pod);
    const std::size_t last = list.back();
    list[pods_[pod].place] = last;
    pods_[last].place = pods_[pod].place;
    list.pop_back();
  }

  std::vector<Pod> pods_;  // all that there ever were
  std::vector<std::vector<std::size_t>> by_busy_;
  int count_ = 0;
  long busy_ = 0;
};

class Simulation {
 public:
  Simulation(const Trace& trace, const Pods& pods, Rule& rule) : trace_(trace), pods_(pods), rule_(rule), ready_(pods.slots) {
    for (int pod = 0; pod < pods.least; ++pod) ready_.add();
  }

  Result run() {
    const double end = trace_.back().arrival + 1;
    while (step(end)) {
    }
    return {.refused = static_cast<double>(seen_.refused) / static_cast<double>(trace_.size()),
            .pod_seconds = pod_seconds_,
            .changes = changes_};
  }

 private:
  struct Running {
    double end;
    double service;
    std::size_t pod;
    bool operator>(const Running& other) const { return end > other.end; }
  };

  bool step(double end) {
    const double ended = running_.empty() ? kNever : running_.top().end;
    const double started = starting_.empty() ? kNever : starting_.front();
    const double arrives = next_ < trace_.size() ? trace_[next_].arrival : kNever;
    const double expires = queue_.empty() ? kNever : queue_.front().arrival + pods_.patience;
    const double now = std::min({ended, started, arrives, expires, tick_});
    if (now > end) return false;
    advance(now);
    if (now == ended) {
      end_one();
    } else if (now == started) {
      starting_.pop_front();
      ready_.add();
    } else if (now == arrives) {
      arrive(trace_[next_++]);
    } else if (now == expires) {
      queue_.pop_front();
      refuse();
    } else {
      ask_rule();
    }
    serve();
    return true;
  }

  void advance(double now) {
    const double passed = now - seen_.now;
    seen_.busy_seconds += static_cast<double>(running_.size()) * passed;
    seen_.waiting_seconds += static_cast<double>(queue_.size()) * passed;
    pod_seconds_ += (ready_.count() + leaving_ + static_cast<double>(starting_.size())) * passed;
    seen_.now = now;
  }

  void end_one() {
    const Running done = running_.top();
    running_.pop();
    if (ready_.give_back(done.pod)) --leaving_;
    ++seen_.ended;
    seen_.held_seconds += done.service;
  }

  void arrive(const Request& request) {
    ++seen_.arrivals;
    const auto most = std::max(kQueueLeast, static_cast<std::size_t>(2 * pods_.slots * ready_.count()));
    queue_.size() < most ? queue_.push_back(request) : refuse();
  }

  /// Retry-After is the wait to expect, 1 to 60 s, as the router tells it.
  void refuse() {
    ++seen_.refused;
    const double held = seen_.ended == 0 ? 0 : seen_.held_seconds / static_cast<double>(seen_.ended);
    const double wait = held * static_cast<double>(queue_.size() + 1) / std::max(1, pods_.slots * ready_.count());
    seen_.told_seconds += std::clamp(std::ceil(wait), 1.0, 60.0);
  }

  void serve() {
    while (!queue_.empty() && ready_.has_free()) {
      const double service = queue_.front().service;
      queue_.pop_front();
      running_.push({seen_.now + service, service, ready_.take()});
    }
  }

  void ask_rule() {
    tick_ += 1;
    seen_.busy = static_cast<int>(running_.size());
    seen_.waiting = static_cast<int>(queue_.size());
    seen_.ready = ready_.count();
    seen_.replicas = seen_.ready + static_cast<int>(starting_.size());
    const int wanted = std::clamp(rule_.replicas(seen_), pods_.least, pods_.most);
    if (wanted != seen_.replicas) ++changes_;
    for (int have = seen_.replicas; have < wanted; ++have) starting_.push_back(seen_.now + pods_.start);
    for (int have = seen_.replicas; have > wanted; --have) give_up_one();
  }

  void give_up_one() {
    if (!starting_.empty()) {
      starting_.pop_back();
    } else if (!ready_.remove()) {
      ++leaving_;
    }
  }

  const Trace& trace_;
  const Pods& pods_;
  Rule& rule_;
  ReadyPods ready_;
  std::deque<double> starting_;
  std::deque<Request> queue_;
  std::priority_queue<Running, std::vector<Running>, std::greater<>> running_;
  std::size_t next_ = 0;
  int leaving_ = 0;
  double tick_ = 1;
  double pod_seconds_ = 0;
  int changes_ = 0;
  Seen seen_;
};

}  // namespace

Result simulate(const Trace& trace, const Pods& pods, Rule& rule) { return Simulation(trace, pods, rule).run(); }

}  // namespace bench::scaling
