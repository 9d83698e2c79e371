#pragma once

#include <functional>
#include <memory>
#include <utility>

#include "router/dispatch/request_queue.h"
#include "router/runtime/shard.h"

namespace router::serving {

/// Notifies the control thread that replicas of a queue may have been ejected or found refusing, or may be chosen again.
class ConditionWatcher final : public dispatch::Watcher,
                               public std::enable_shared_from_this<ConditionWatcher>,
                               private runtime::Message {
 public:
  ConditionWatcher(runtime::Shard& control, std::function<void()> look) : control_(control), look_(std::move(look)) {}
  void conditions_changed() noexcept override {
    self_ = shared_from_this();
    control_.send(*this);
  }

 private:
  void run() override {
    const std::shared_ptr<ConditionWatcher> self = std::move(self_);
    look_();
  }
  void dropped() noexcept override { const std::shared_ptr<ConditionWatcher> self = std::move(self_); }

  runtime::Shard& control_;
  const std::function<void()> look_;
  std::shared_ptr<ConditionWatcher> self_;  // while the message is on its way: it may outlive its queue
};

}  // namespace router::serving
