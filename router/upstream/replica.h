#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "router/dispatch/replica.h"
#include "router/metrics/cells.h"
#include "router/runtime/address.h"
#include "router/upstream/closing_habit.h"
#include "tls/context.h"

namespace router::upstream {

class Connection;

/// How the replicas of a deployment are spoken to over https; nothing for plaintext.
struct Transport {
  std::vector<std::shared_ptr<tls::ClientContext>> contexts;  // one per shard
  std::string server_name;                                    // empty: the replica's host name
};

/// One pod able to score: what the queue knows of it, and where it is. Everything here is constant but the pools, each of which
/// belongs to its shard. A replica whose address changes is another replica.
class Replica final : public dispatch::Replica, public std::enable_shared_from_this<Replica> {
 public:
  /// `host` is the configured host name, for the TLS server name. `pod`: shared with other deployments' replicas that are the
  /// same pod.
  Replica(std::string name, std::size_t slots, std::string host, runtime::Address address,
          std::shared_ptr<const Transport> transport, std::shared_ptr<dispatch::PodSlots> pod, std::size_t shards,
          std::uint64_t generation);
  ~Replica() override;

  const runtime::Address& address() const { return address_; }
  const std::shared_ptr<const Transport>& transport() const { return transport_; }
  const std::string& server_name() const;
  /// The first generation of the configuration that it belongs to: an exchange of an older one must not be sent to it.
  std::uint64_t generation() const { return generation_; }

  /// Idle connections of a replica without limit, of one shard; at most kIdleMax.
  using Pool = std::vector<std::shared_ptr<Connection>>;
  static constexpr std::size_t kIdleMax = 64;
  Pool& pool(std::size_t shard) { return pools_[shard].idle; }
  /// On that shard: its idle connections end, and none rests from now on.
  void retire_pool(std::size_t shard);
  bool pool_is_retired(std::size_t shard) const { return pools_[shard].retired; }

  /// How it ends its connections.
  const std::shared_ptr<ClosingHabits>& habits() const { return habits_; }

  /// Exchanges that the replica has answered to the end; counted by the shard, read by control.
  void exchange_finished(std::size_t shard) { pools_[shard].finished.add(); }
  std::uint64_t exchanges_finished() const;

  /// With `metrics.per_replica`: a request was sent to it, and the head of its answer came so long after the last byte of that.
  void request_sent(std::size_t shard) { pools_[shard].requests.add(); }
  void answered(std::size_t shard, Duration first_byte) {
    pools_[shard].answers.add();
    pools_[shard].first_byte.add(static_cast<std::uint64_t>(std::max<std::int64_t>(first_byte.count(), 0)));
  }
  /// Over all shards; control.
  struct Figures {
    std::uint64_t requests = 0;
    std::uint64_t answers = 0;
    std::uint64_t first_byte_nanoseconds = 0;
  };
  Figures figures() const;

 private:
  struct alignas(64) ShardPool {
    Pool idle;
    bool retired = false;
    metrics::Cell finished;
    metrics::Cell requests;
    metrics::Cell answers;
    metrics::Cell first_byte;  // ns
  };
  const std::string host_;
  const runtime::Address address_;
  const std::shared_ptr<const Transport> transport_;
  const std::uint64_t generation_;
  const std::shared_ptr<ClosingHabits> habits_;
  std::vector<ShardPool> pools_;
};

}  // namespace router::upstream
