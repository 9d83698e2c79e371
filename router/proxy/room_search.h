#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>

#include "router/base/task.h"
#include "router/proxy/connection_limits.h"
#include "router/runtime/inbox.h"
#include "router/runtime/wakeup.h"

namespace router::proxy {

class ShardServer;

/// Searches the other shards for an idle connection and takes its permit. It is a message that passes from shard to shard until
/// one has given it a permit, and then returns. It lives in the coroutine of the new connection, which waits for it.
class RoomSearch final : private runtime::Message {
 public:
  /// `wakeup` belongs to the shard of `requester`.
  RoomSearch(ShardServer& requester, runtime::Wakeup& wakeup);

  /// Suspends until the message has returned, which takes each visited shard one turn of its event loop. Returns nothing if no
  /// other shard has an idle connection.
  Task<std::optional<ConnectionLimits::Permit>> run_round();

 private:
  void run() override;
  void dropped() noexcept override {}  // the process ends, and the coroutine with it
  void go_on() noexcept;

  ShardServer& requester_;
  runtime::Wakeup& wakeup_;
  std::size_t at_ = 0;  // index of the shard that has the message now
  bool is_home_ = false;
  std::optional<ConnectionLimits::Permit> permit_;
};

}  // namespace router::proxy
