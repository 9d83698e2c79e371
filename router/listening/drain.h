#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "config/config.h"
#include "router/proxy/server.h"
#include "router/runtime/round.h"
#include "router/runtime/shard_set.h"

namespace router::listening {

/// The end of a process in four steps (contract, section 10). 1: report that the router is not ready, and accept for
/// `drain_delay`. 2: accept what has arrived, close the listeners and idle connections. 3: let running exchanges end until
/// `drain_grace`, and wait as long for `may_end`. 4: end the rest. The constructor makes what the steps need, so no step can
/// fail. Control thread.
class Drain {
 public:
  Drain(runtime::Shard& control, runtime::ShardSet& shards, std::vector<std::unique_ptr<proxy::ShardServer>>& servers,
        std::function<bool()> may_end, std::function<void()> done);

  /// Starts the drain; later calls do nothing.
  void begin(const config::Process& settings) noexcept;
  bool begun() const { return begun_; }

  static constexpr std::chrono::milliseconds kLook{20};
  static constexpr std::chrono::seconds kCut{5};  // after the grace: time to write refusals and to give slots back

 private:
  class Step final : public runtime::Timer {
   public:
    /// Stays in the queue of timers, so that scheduling it cannot fail.
    Step(runtime::Shard& control, std::function<void()> action) : control_(control), action_(std::move(action)) {
      control_.schedule(*this, kNever);
    }
    void schedule(TimePoint when) { control_.schedule(*this, when); }

   private:
    void expired() override {
      control_.schedule(*this, kNever);
      action_();
    }
    runtime::Shard& control_;
    std::function<void()> action_;
  };

  void stop_accepting();
  void look_for_the_end();
  void count_what_is_left();
  void end_grace();
  void end();

  runtime::Shard& control_;
  std::function<bool()> may_end_;
  std::function<void()> done_;
  bool begun_ = false;
  bool grace_over_ = false;
  bool ended_ = false;
  Deadline grace_end_ = kNever;
  std::vector<std::size_t> connections_left_;  // of each shard, as it last reported
  runtime::Round say_so_;
  runtime::Round stop_accepting_;
  runtime::Round look_;
  runtime::Round refuse_waiters_;
  runtime::Round end_grace_;
  Step delay_over_;
  Step look_again_;
};

}  // namespace router::listening
