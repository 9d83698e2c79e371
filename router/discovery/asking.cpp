#include "router/discovery/asking.h"

#include <new>
#include <utility>

#include "router/base/log.h"

namespace router::discovery {
namespace {

constexpr std::chrono::seconds kAgain{1};

}  // namespace

void Asking::Call::send() {
  if (on_its_way()) return;
  kept_ = owner_.shared_from_this();
  owner_.control().send(*this);
}

void Asking::Call::run() {
  const std::shared_ptr<Asking> owner = std::move(kept_);
  ((*owner).*what_)();
}

void Asking::begin(runtime::TaskGroup& group) noexcept {
  group_ = &group;
  begin_.send();
}

void Asking::stop() noexcept {
  stopped_ = true;
  end_.send();
}

void Asking::spawn() {
  if (stopped_) return;
  bool begun = false;
  try {
    begun = group_->try_spawn(live(shared_from_this()));
  } catch (const std::bad_alloc&) {
    log::error("memory is short: a replica is asked later");
  }
  if (!begun) spawn_later();
}

Task<void> Asking::live(std::shared_ptr<Asking> self) {
  try {
    co_await self->run();
  } catch (const std::bad_alloc&) {
    log::error("memory is short: a replica is asked later");
    if (!self->stopped_) self->spawn_later();
  }
}

void Asking::spawn_later() noexcept {
  try {
    control().schedule(again_, control().now() + kAgain);
  } catch (const std::bad_alloc&) {
    begin_.send();  // at once, then
  }
}

}  // namespace router::discovery
