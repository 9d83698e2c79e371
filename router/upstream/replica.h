#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "router/dispatch/replica.h"
#include "router/dispatch/request_queue.h"
#include "router/metrics/cells.h"
#include "router/runtime/address.h"
#include "router/upstream/closing_habit.h"
#include "tls/context.h"
#include "tls/psk.h"

namespace router::upstream {

class Connection;

/// How the router connects to the replicas of a deployment over https; nullptr in its place: plaintext.
struct Transport {
  std::vector<std::shared_ptr<tls::ClientContext>> contexts;  // one per shard, and one more
  std::string server_name;                                    // empty: the replica's host name
  /// To another router of the fleet, instead of `contexts`: one per shard, after a byte in plaintext that says what the
  /// connection is for; 0: none.
  std::vector<std::shared_ptr<tls::PskClientContext>> shared_key{};
  char first_byte = 0;
};

struct ReplicaOptions {
  std::string name;       // host:port, for logs and /status
  std::size_t slots = 0;  // the limit of its deployment; 0: no limit
  std::string host;       // the configured host name: the TLS server name if the transport has none
  runtime::Address address;
  std::shared_ptr<const Transport> transport;  // nullptr: plaintext
  /// Replicas of other deployments that are the same pod share it.
  std::shared_ptr<dispatch::PodSlots> pod = std::make_shared<dispatch::PodSlots>();
  std::size_t shards = 1;
  std::uint64_t generation = 1;  // the first of the configuration that contains the replica
  bool is_router = false;     // another router of the fleet (upstream/peers): it keeps connections, and tells when a pod begins
  std::size_t idle_max = 64;  // without a limit: idle connections that each shard keeps
};

/// One pod that can score: what the queue knows of it, and its address. All members are constant except those per shard, each
/// of which belongs to its shard. A pod whose address changes becomes a new replica.
class Replica final : public dispatch::Replica, public std::enable_shared_from_this<Replica> {
 public:
  explicit Replica(ReplicaOptions options);
  ~Replica() override;

  const runtime::Address& address() const { return address_; }
  const std::shared_ptr<const Transport>& transport() const { return transport_; }
  const std::string& server_name() const;
  /// The first generation of the configuration that contains it: a request under an older view must not be sent to it.
  std::uint64_t generation() const { return generation_; }
  /// Whether it is another router of the fleet: its interim answer 199 comes before a pod sees anything of the request.
  bool is_router() const { return is_router_; }

  /// Idle connections of a replica without limit, of one shard; at most `idle_max`.
  using Pool = std::vector<std::shared_ptr<Connection>>;
  std::size_t idle_max() const { return idle_max_; }
  Pool& pool(std::size_t shard) { return pools_[shard].idle; }
  /// On that shard: ends its idle connections; from now on none is kept, until `reopen_pool`.
  void retire_pool(std::size_t shard);
  void reopen_pool(std::size_t shard) { pools_[shard].retired = false; }
  bool pool_is_retired(std::size_t shard) const { return pools_[shard].retired; }

  /// Whether it keeps connections open or closes them silently, for each shard.
  const std::shared_ptr<ClosingHabits>& habits() const { return habits_; }

  /// Counts exchanges that the replica has answered completely; written by the shard, read by control.
  void exchange_finished(std::size_t shard) { pools_[shard].finished.add(); }
  std::uint64_t exchanges_finished() const;

  /// For `metrics.per_replica`: counts requests that were sent, and answers with the time from the last byte of the request to
  /// the head of the answer.
  void request_sent(std::size_t shard) { pools_[shard].requests.add(); }
  void answered(std::size_t shard, Duration first_byte) {
    pools_[shard].answers.add();
    pools_[shard].first_byte.add(static_cast<std::uint64_t>(std::max<std::int64_t>(first_byte.count(), 0)));
  }
  /// Sums over all shards; control thread.
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
  const bool is_router_;
  const std::size_t idle_max_;
  const std::shared_ptr<ClosingHabits> habits_;
  std::vector<ShardPool> pools_;
};

/// The replica of a held slot. Queues are given replicas of this class only (serving/live_deployments.cpp).
inline Replica& replica_of(const dispatch::HeldSlot& held_slot) { return static_cast<Replica&>(held_slot.replica()); }

}  // namespace router::upstream
