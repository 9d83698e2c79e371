#pragma once

#include <boost/asio/io_context.hpp>
#include <memory>

#include "router/metrics/cells.h"
#include "router/metrics/registry.h"
#include "router/proxy/server.h"
#include "tests/support/test_shard.h"

namespace router::test {

/// A shard with its server, as client connections need them: no listener, no endpoint, and a clock that the test moves.
struct ServedShard {
  /// Publishes `view` with the current limits, and with a plaintext listener 1 unless it has one.
  void publish(std::shared_ptr<proxy::View> view = std::make_shared<proxy::View>()) {
    view->limits = limits;
    view->listeners.try_emplace(kListener);
    view->table.metrics = metrics::Registry(1).deployment("", "");
    views.publish(std::move(view));
    shards[0].io().poll();
  }

  static constexpr proxy::ListenerId kListener = 1;
  TestShard shard;
  runtime::Shard control{0, shard.clock(), runtime::Shard::Time::kManual};
  runtime::ShardSet shards{1, shard.clock()};
  proxy::Views views{control, shards};
  metrics::ShardCells cells;
  proxy::ConnectionLimits connections;
  proxy::ShardServer server{shard, views, cells, 1, connections};
  config::Limits limits;
};

}  // namespace router::test
