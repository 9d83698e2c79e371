#include "router/runtime/task_group.h"

#include <exception>
#include <new>
#include <string>

#include "router/base/log.h"

namespace router::runtime {
namespace {

/// Logs an exception that has ended a task; it ends nothing else.
void log_exception(const std::exception& error) noexcept {
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr) {
    return log::error("memory is short: a task was ended, with its connection");
  }
  try {
    log::error(std::string("our bug: an exception ended a task: ") + error.what());
  } catch (const std::bad_alloc&) {
    log::error("our bug: an exception ended a task");
  }
}

}  // namespace

/// A coroutine that starts at once and frees its own frame at its end.
struct TaskGroup::Root {
  struct promise_type : Link {
    promise_type(TaskGroup& group, const Task<void>&) {
      frame = std::coroutine_handle<promise_type>::from_promise(*this);
      group.roots_.push_back(*this);
    }
    static void* operator new(std::size_t size) { return allocate_frame(size); }
    static void operator delete(void* frame, std::size_t size) noexcept { free_frame(frame, size); }
    Root get_return_object() const noexcept { return {}; }
    std::suspend_never initial_suspend() const noexcept { return {}; }
    std::suspend_never final_suspend() const noexcept { return {}; }
    void return_void() const noexcept {}
    void unhandled_exception() const noexcept { std::terminate(); }
  };
};

TaskGroup::~TaskGroup() {
  closed_ = true;
  while (!roots_.empty()) roots_.front().frame.destroy();  // this removes it from the list
}

TaskGroup::Root TaskGroup::run(TaskGroup& group, Task<void> task) {
  try {
    Task<void> running = std::move(task);  // its frame is destroyed here, before the group is notified
    co_await std::move(running);
  } catch (const std::exception& error) {
    ++group.failed_;
    log_exception(error);
  }
  if (--group.running_ == 0) group.notify_emptied();
}

void TaskGroup::notify_emptied() noexcept {
  if (!notice_.on_its_way()) emptied_.shard().send(notice_);
}

bool TaskGroup::try_spawn(Task<void> task) {
  if (closed_ || running_ >= limit_) return false;
  ++running_;
  try {
    run(*this, std::move(task));
  } catch (const std::bad_alloc&) {  // no memory for the frame of `run`: the task has not started
    --running_;
    throw;
  }
  return true;
}

Task<bool> TaskGroup::wait(Deadline deadline) {
  while (running_ > 0) {
    // A named variable: in a coroutine without any, GCC 12 puts the condition of `if (co_await …)` where the head of the frame
    // belongs.
    const bool woken = co_await emptied_.wait(deadline);
    if (!woken) break;
  }
  co_return running_ == 0;
}

}  // namespace router::runtime
