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

/// Asks the other shards, one after the other, for the permit of an idle connection: a message that travels round until one
/// has given it a permit, and comes back. It lives in the coroutine of the new connection, which waits for it.
class RoomSearch final : private runtime::Message {
 public:
  /// `wakeup` is of the shard `requester`.
  RoomSearch(ShardServer& requester, runtime::Wakeup& wakeup);

  /// Suspends until it is back: as long as it takes each shard to finish what it is at. Nothing: no shard has an idle
  /// connection, or there is no other shard.
  Task<std::optional<ConnectionLimits::Permit>> run_round();

 private:
  void run() override;
  void dropped() noexcept override {}  // the process ends, and with it the coroutine
  void go_on() noexcept;

  ShardServer& requester_;
  runtime::Wakeup& wakeup_;
  std::size_t at_ = 0;  // index of the shard that has the message
  bool is_home_ = false;
  std::optional<ConnectionLimits::Permit> permit_;
};

}  // namespace router::proxy
