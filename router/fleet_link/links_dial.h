#pragma once

#include <memory>
#include <string>

#include "router/fleet_link/links.h"
#include "router/runtime/background_task.h"

namespace router::fleet_link {

/// An address that this process keeps a link to. It is cancelled when it is no peer's any more.
struct Links::Dial final : runtime::BackgroundTask {
  Dial(Links& links, runtime::Address to)
      : BackgroundTask(links.shard_, {"memory is short: dialling a member of the fleet begins again in a second"}),
        owner(links),
        address(to) {}

  void stop() noexcept {
    cancel();
    if (nap != nullptr) nap->cancel();
    if (attempt) attempt->cancel();
  }

  Links& owner;
  const runtime::Address address;
  std::shared_ptr<Life> attempt;  // of an attempt that has not opened a link yet, or null
  std::string reached;            // the member that last answered here; empty: none yet
  Life* nap = nullptr;            // where the coroutine waits between two attempts; null: none runs
  bool is_own = false;            // this process itself answered
  bool is_due = false;            // an attempt is to be made now, whatever the pause
  Duration pause{};               // after the last failure

 private:
  Task<void> run() override { return owner.keep(*this); }
};

}  // namespace router::fleet_link
