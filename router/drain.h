#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "config/config.h"
#include "router/proxy/server.h"
#include "router/runtime/shard_set.h"

namespace router {

/// The end of a process in four steps (contract, section 10): say so and go on accepting for `drain_delay`; take what has
/// arrived and close the listeners, and the idle connections; let running exchanges end until `drain_grace`; end those that are
/// left. Control thread.
class Drain {
 public:
  Drain(runtime::Shard& control, runtime::ShardSet& shards, std::vector<std::unique_ptr<proxy::ShardServer>>& servers,
        std::function<void()> done);

  /// Once; later calls do nothing.
  void begin(const config::Process& settings);
  bool begun() const { return begun_; }

 private:
  class Step final : public runtime::Timer {
   public:
    explicit Step(std::function<void()> action) : action_(std::move(action)) {}

   private:
    void expired() override { action_(); }
    std::function<void()> action_;
  };

  void stop_accepting();
  void look_for_the_end();
  void end_grace();

  static constexpr std::chrono::milliseconds kLook{20};
  static constexpr std::chrono::seconds kCut{5};  // after the grace: for refusals to be written and pods to be let go

  runtime::Shard& control_;
  runtime::ShardSet& shards_;
  std::vector<std::unique_ptr<proxy::ShardServer>>& servers_;
  std::function<void()> done_;
  bool begun_ = false;
  bool grace_over_ = false;
  Deadline grace_end_ = kNever;
  std::size_t shards_with_a_line_ = 0;
  std::size_t answers_due_ = 0;  // shards that were asked and have not answered
  std::size_t connections_left_ = 0;
  Step delay_over_;
  Step look_;
};

}  // namespace router
