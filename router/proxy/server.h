#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <span>

#include "router/http/date.h"
#include "router/metrics/cells.h"
#include "router/proxy/connection_limits.h"
#include "router/proxy/gathering_room.h"
#include "router/proxy/handshakes.h"
#include "router/proxy/head_pool.h"
#include "router/proxy/idle_connections.h"
#include "router/proxy/mirror.h"
#include "router/proxy/view.h"
#include "router/runtime/accept.h"
#include "router/runtime/address.h"
#include "router/runtime/shard.h"
#include "router/runtime/task_group.h"

namespace router::proxy {

/// The listeners of one shard and all its client connections. The control thread creates it before the shard runs; everything
/// else happens on the shard.
class ShardServer {
 public:
  ShardServer(runtime::Shard& shard, const Views& views, metrics::ShardCells& cells, std::size_t shards,
              ConnectionLimits& connection_limits);

  /// Sets the servers of all shards, by index, including this one. Called before the shards run. Without a call there is no
  /// other one.
  void set_siblings(std::span<const std::unique_ptr<ShardServer>> all) { siblings_ = all; }
  std::span<const std::unique_ptr<ShardServer>> siblings() const { return siblings_; }

  /// Begins to accept. The view that contains the listener was published before. A listener may have several sockets.
  /// Throws std::bad_alloc, and does not take the socket, when memory is short.
  void open_listener(ListenerId listener, runtime::ListeningSocket& socket);
  void open_listener(ListenerId listener, runtime::ListeningSocket&& socket) { open_listener(listener, socket); }
  /// Accepts the connections that have arrived, then closes the listener. Does nothing if it is closed already. A view without
  /// the listener is published afterwards. Open connections of the listener stay, and their next answer says `Connection:
  /// close`.
  void close_listener(ListenerId listener);
  bool is_open(ListenerId listener) const { return acceptors_.contains(listener); }

  /// Takes a connection of another router of the fleet over which requests are sent on (proxy/member_connection). `context`:
  /// this shard's; nullptr: plaintext. Returns false, and closes the socket, when there are too many. On the shard. Throws
  /// std::bad_alloc, and closes the socket, when memory is short.
  bool serve_member(runtime::Socket socket, std::shared_ptr<tls::PskServerContext> context);

  void count_sent_on(metrics::SentOnResult result) { cells_.sent_on[static_cast<std::size_t>(result)].add(); }

  // --- drain, each step for good ---
  void begin_drain() noexcept { draining_ = true; }  // every answer carries `Connection: close`
  void close_listeners();                            // accepts what has arrived first
  void close_idle();               // connections without a request end, new ones within kFirstRequest; mirroring ends
  void refuse_waiters() noexcept;  // waiting exchanges end; no exchange takes a slot any more
  void end_grace() noexcept;       // running exchanges end
  /// Open connections of clients and of other routers, and mirrored requests that are being sent.
  std::size_t connections() const { return connections_.running() + members_.running() + mirrors_.sending(); }

  runtime::Shard& shard() { return shard_; }
  /// The newest view. An exchange calls it once, and again only if its replica belongs to a newer generation.
  const Views::Snapshot& view() const { return views_.on(shard_); }
  /// Wakes the waiting exchange when a newer view has arrived.
  void wait_for_next_view(Views::Arrival& arrival) const { views_.wait_for_next(shard_, arrival); }
  metrics::ShardCells& cells() { return cells_; }
  Mirrors& mirrors() { return mirrors_; }
  bool draining() const { return draining_; }
  bool closing_idle() const { return closing_idle_; }
  /// The end of the time that new connections have for their first request in a drain; `kNever` before `close_idle`.
  const Deadline& first_requests_end() const { return first_requests_end_; }
  bool refuses_waiters() const { return refuses_waiters_; }
  bool grace_over() const { return grace_over_; }

  /// Shared by the whole process.
  ConnectionLimits& connection_limits() { return connection_limits_; }
  /// Belongs to this shard.
  IdleConnections& idle() { return idle_; }
  /// Closes the longest idle connection of this shard and returns its permit; nothing if none is idle.
  std::optional<ConnectionLimits::Permit> make_room();
  /// The number of new connections that search other shards for a permit; at most kSearchesMax at a time.
  std::size_t& searches() { return searches_; }
  static constexpr std::size_t kSearchesMax = 64;
  Handshakes& handshakes() { return handshakes_; }
  /// Connections for other routers that have not proven the key of the fleet.
  Handshakes& member_strangers() { return member_strangers_; }
  HeadPool& heads() { return heads_; }
  http::Date& date() { return date_; }
  GatheringRoom& gathering_room() { return gathering_room_; }
  /// The number of refused clients that are still read so that they receive the answer; at most kRefusedMax at a time.
  std::size_t& refused() { return refused_; }
  static constexpr std::size_t kRefusedMax = 64;

  /// Registers a connection that each step of the drain wakes.
  void enlist(runtime::Wakeup& wakeup) noexcept { enlisted_.push_back(wakeup); }
  static void remove(runtime::Wakeup& wakeup) noexcept { wakeup.unlink(); }

 private:
  static constexpr std::size_t kConnectionsMax = 1'000'000;  // limit of the task group; max_connections is checked at accept
  static constexpr std::size_t kMemberConnectionsMax = 100'000;
  static constexpr std::chrono::seconds kFirstRequest{1};
  void accept(ListenerId listener, int descriptor, const runtime::Address& peer);

  runtime::Shard& shard_;
  const Views& views_;
  metrics::ShardCells& cells_;
  ConnectionLimits& connection_limits_;
  std::span<const std::unique_ptr<ShardServer>> siblings_;
  IdleConnections idle_;
  std::size_t searches_ = 0;
  Handshakes handshakes_;
  Handshakes member_strangers_;
  HeadPool heads_;
  http::Date date_;
  GatheringRoom gathering_room_;
  std::size_t refused_ = 0;
  bool draining_ = false;
  bool closing_idle_ = false;
  Deadline first_requests_end_ = kNever;
  bool refuses_waiters_ = false;
  bool grace_over_ = false;
  runtime::Wakeup::List enlisted_;
  Mirrors mirrors_;
  runtime::TaskGroup connections_;
  runtime::TaskGroup members_;
  std::multimap<ListenerId, runtime::Acceptor> acceptors_;  // several per listener if its sockets are inherited
};

}  // namespace router::proxy
