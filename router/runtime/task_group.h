#pragma once

#include <boost/intrusive/list.hpp>
#include <coroutine>
#include <cstddef>

#include "router/base/task.h"
#include "router/runtime/wakeup.h"

namespace router::runtime {

/// Owns coroutines that no other coroutine awaits: it limits their number, counts them and waits for them. Destroying the group
/// destroys coroutines that are still suspended, with all that they hold. One shard; destroyed on it, or after it has stopped.
class TaskGroup {
 public:
  TaskGroup(Shard& shard, std::size_t limit) : limit_(limit), emptied_(shard), notice_(emptied_) {}
  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;
  ~TaskGroup();

  /// Starts `task` at once, inside this call. If the group is full or closed, destroys the task without running it and returns
  /// false. When memory is short, destroys it and throws std::bad_alloc. An exception that ends the task is only logged.
  bool try_spawn(Task<void> task);
  void close() { closed_ = true; }
  /// Waits until every task has ended or `deadline` has passed; true when all have ended.
  Task<bool> wait(Deadline deadline);

  std::size_t running() const { return running_; }
  /// Tasks that ended with an exception, since the start.
  std::size_t failed() const { return failed_; }

 private:
  struct Root;
  struct Link : boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>> {
    std::coroutine_handle<> frame;
  };
  static Root run(TaskGroup& group, Task<void> task);
  void notify_emptied() noexcept;
  class Notice final : public Message {
   public:
    explicit Notice(Wakeup& to) : to_(to) {}

   private:
    void run() override { to_.wake(); }
    void dropped() noexcept override {}
    Wakeup& to_;
  };

  const std::size_t limit_;
  std::size_t running_ = 0;
  std::size_t failed_ = 0;
  bool closed_ = false;
  boost::intrusive::list<Link, boost::intrusive::constant_time_size<false>> roots_;
  Wakeup emptied_;
  Notice notice_;
};

}  // namespace router::runtime
