#include "router/runtime/background_task.h"

#include <new>
#include <utility>

namespace router::runtime {

void BackgroundTask::Begin::send() noexcept {
  if (on_its_way()) return;
  kept_ = owner_.shared_from_this();
  owner_.shard().send(*this);
}

void BackgroundTask::Begin::run() {
  const std::shared_ptr<CancelSource> owner = std::move(kept_);
  owner_.spawn();
}

void BackgroundTask::begin(TaskGroup& group) noexcept {
  group_ = &group;
  begin_.send();
}

void BackgroundTask::spawn() {
  if (cancelled()) return;
  bool begun = false;
  try {
    begun = group_->try_spawn(live(shared_from_this(), *this));
  } catch (const std::bad_alloc&) {
    log::error(again_.log);
  }
  if (!begun) spawn_later();
}

Task<void> BackgroundTask::live(std::shared_ptr<CancelSource> self, BackgroundTask& task) {
  try {
    co_await task.run();
  } catch (const std::bad_alloc&) {
    log::error(task.again_.log);
    if (!self->cancelled()) task.spawn_later();
  }
}

void BackgroundTask::spawn_later() noexcept {
  try {
    shard().schedule(*this, deadline_after(now(), again_.after));
  } catch (const std::bad_alloc&) {
    begin_.send();  // no memory for the timer: at once
  }
}

}  // namespace router::runtime
