#include <algorithm>
#include <cerrno>
#include <string_view>
#include <utility>

#include "router/client/connect.h"
#include "router/runtime/descriptors.h"
#include "router/upstream/exchange.h"
#include "router/upstream/handover.h"
#include "router/upstream/http1_exchange.h"
#include "router/upstream/replica.h"
#include "tls/psk.h"

namespace router::upstream {
namespace {

using runtime::Shard;
using runtime::Wakeup;

RestingConnection* resting_in(const dispatch::HeldSlot& held_slot) {
  return held_slot.entry() == nullptr ? nullptr : static_cast<RestingConnection*>(held_slot.entry()->connection.get());
}

/// A shortage on the router's machine is not the pod's fault: its origin is internal, so it does not count against the replica.
Failure connect_failed(const char* cause, int system_error) {
  if (runtime::is_our_shortage(system_error)) {
    return Failure::internal(Reason::kUpstreamConnectFailed, "the router ran short of descriptors, ports or memory",
                             system_error);
  }
  return Failure::upstream(Reason::kUpstreamConnectFailed, cause, system_error);
}

tls::Stream secured(const Replica& replica, Shard& shard, runtime::Socket socket) {
  const Transport* transport = replica.transport().get();
  if (transport == nullptr) return client::Security().upon(std::move(socket));
  if (!transport->shared_key.empty()) return {std::move(socket), *transport->shared_key[shard.index()]};
  return client::Security(*transport->contexts[shard.index()], replica.server_name()).upon(std::move(socket));
}

/// A new connection takes one byte at once.
bool says_what_for(const Replica& replica, const runtime::Socket& socket) {
  const char first = replica.transport() == nullptr ? '\0' : replica.transport()->first_byte;
  return first == '\0' || socket.write(std::string_view(&first, 1)).state == runtime::IoState::kDone;
}

/// Adapts the exchange's cancellation to the one that `client` uses.
class ConnectCancellation final : public runtime::Cancellation {
 public:
  ConnectCancellation(Wakeup& wakeup, stream::Cancellation& exchange) : Cancellation(wakeup), exchange_(exchange) {}
  bool cancelled() const override { return !(wanted_ = exchange_.still_wanted()); }
  Deadline ask_again() const override { return exchange_.ask_again(now()); }
  /// The result of the last `cancelled`.
  const Result<void>& wanted() const { return wanted_; }

 private:
  stream::Cancellation& exchange_;
  mutable Result<void> wanted_;
};

Failure failure_of(const client::Error& error, const ConnectCancellation& cancellation) {
  if (error.kind == client::ErrorKind::kCancelled) return cancellation.wanted().error();
  if (error.kind == client::ErrorKind::kTimedOut) {
    return connect_failed("connecting to the pod took longer than connect_timeout_ms", ETIMEDOUT);
  }
  switch (error.stage) {
    case client::Stage::kOpen: return connect_failed("the connection to the pod could not be started", error.system_error);
    case client::Stage::kConnect: {
      const bool refused = error.system_error == ECONNREFUSED;
      return connect_failed(refused ? "the pod refused the connection" : "the pod cannot be reached", error.system_error);
    }
    default: return connect_failed(error.cause, error.system_error);
  }
}

Task<Result<std::shared_ptr<Connection>>> connect(const Replica& replica, Duration timeout, Wakeup& wakeup,
                                                  stream::Cancellation& exchange) {
  Shard& shard = wakeup.shard();
  ConnectCancellation cancellation(wakeup, exchange);
  const Deadline deadline = deadline_after(shard.now(), timeout);
  runtime::Socket socket;
  const client::Outcome<void> connected = co_await client::connect_socket(cancellation, replica.address(), socket, deadline);
  if (!connected) co_return failure_of(connected.error(), cancellation);
  if (!says_what_for(replica, socket)) co_return connect_failed("the connection ended at once", 0);
  socket.note_acknowledged();
  tls::Stream stream = secured(replica, shard, std::move(socket));
  const client::Outcome<void> shaken = co_await client::shake_hands(cancellation, stream, deadline);
  if (!shaken) co_return failure_of(shaken.error(), cancellation);
  ConnectionPast past;
  past.opened = shard.now();
  co_return std::make_shared<Connection>(shard, std::move(stream), replica.habits(), past);
}

/// Waits until woken or until `until`, unless the exchange is no longer wanted.
Task<Result<void>> wait_if_wanted(Deadline until, Wakeup& wakeup, stream::Cancellation& cancellation) {
  if (const Result<void> wanted = cancellation.still_wanted(); !wanted) co_return wanted.error();
  co_await wakeup.wait(std::min(until, cancellation.ask_again(wakeup.shard().now())));
  co_return boost::system::in_place_value;
}

/// Gets a connection for the request of a held slot.
class Opening {
 public:
  Opening(dispatch::HeldSlot& held_slot, const OpenOptions& options, Wakeup& wakeup, stream::Cancellation& cancellation)
      : held_slot_(held_slot), options_(options), wakeup_(wakeup), cancellation_(cancellation) {}

  /// An idle connection of this shard that can be used now; nullptr: there is none.
  std::shared_ptr<Connection> take_at_once() { return held_slot_.entry() != nullptr ? take_from_slot() : take_from_pool(); }
  /// An idle connection that comes from another shard or has to be watched first, else a new one. Suspends.
  Task<Result<std::shared_ptr<Connection>>> prepare();
  /// Whether `prepare` waited for the pod.
  bool waited() const { return waited_; }

 private:
  std::shared_ptr<Connection> take_from_slot();
  std::shared_ptr<Connection> take_from_pool();
  Task<Result<std::shared_ptr<Connection>>> clear_slot();
  Task<Result<std::shared_ptr<Connection>>> watch(std::shared_ptr<Connection> connection, bool wanted);
  Task<Result<void>> close(std::shared_ptr<Connection> connection);
  void count(Fitness fitness);
  Shard& shard() const { return wakeup_.shard(); }

  dispatch::HeldSlot& held_slot_;
  const OpenOptions& options_;
  Wakeup& wakeup_;
  stream::Cancellation& cancellation_;
  bool waited_ = false;
};

std::shared_ptr<Connection> Opening::take_from_slot() {
  RestingConnection* resting = resting_in(held_slot_);
  if (resting == nullptr || resting->shard() != shard().index() || !resting->speaks(replica_of(held_slot_).transport()) ||
      resting->connection().fitness() != Fitness::kFit) {
    return nullptr;
  }
  std::shared_ptr<Connection> connection = resting->take();
  held_slot_.entry()->connection.reset();
  return connection;
}

/// The fit connection that was used last. The others stay in the pool until they are old enough, or the pod ends them.
std::shared_ptr<Connection> Opening::take_from_pool() {
  Replica::Pool& pool = replica_of(held_slot_).pool(shard().index());
  Fitness newest = Fitness::kFit;
  for (std::size_t index = pool.size(); index-- > 0;) {
    const Fitness fitness = pool[index]->fitness();
    if (index + 1 == pool.size()) newest = fitness;
    if (fitness != Fitness::kFit) continue;
    std::shared_ptr<Connection> connection = std::move(pool[index]);
    pool.erase(pool.begin() + static_cast<std::ptrdiff_t>(index));
    return connection;
  }
  count(newest);
  return nullptr;
}

Task<Result<std::shared_ptr<Connection>>> Opening::prepare() {
  if (resting_in(held_slot_) != nullptr) {
    Result<std::shared_ptr<Connection>> kept = co_await clear_slot();
    if (!kept || *kept != nullptr) co_return kept;
  }
  waited_ = true;
  co_return co_await connect(replica_of(held_slot_), options_.connect_timeout, wakeup_, cancellation_);
}

/// Returns the slot's connection if it turns out to be fit, or nullptr once the slot has no connection.
Task<Result<std::shared_ptr<Connection>>> Opening::clear_slot() {
  std::unique_ptr<RestingConnection> resting(static_cast<RestingConnection*>(held_slot_.entry()->connection.release()));
  const bool wanted = !options_.fresh && resting->speaks(replica_of(held_slot_).transport());
  std::shared_ptr<Connection> connection;
  if (resting->shard() == shard().index()) {
    connection = resting->take();
  } else {
    const Deadline deadline = deadline_after(shard().now(), options_.connect_timeout);
    Result<std::shared_ptr<Connection>> fetched =
        co_await fetch(held_slot_, std::move(resting), wanted, deadline, wakeup_, cancellation_);
    if (!fetched) co_return fetched;
    connection = std::move(*fetched);
  }
  if (connection == nullptr) co_return connection;
  co_return co_await watch(std::move(connection), wanted);
}

Task<Result<std::shared_ptr<Connection>>> Opening::watch(std::shared_ptr<Connection> connection, bool wanted) {
  connection->take(wakeup_);
  Fitness fitness = wanted ? connection->fitness() : Fitness::kSpent;
  // The replica's habit is not known yet. Watching until the connection is old enough shows it; that costs up to 10 ms, a
  // few times for each shard.
  while (fitness == Fitness::kTooYoung) {
    waited_ = true;
    connection->stream().arm_read();
    const Result<void> waited = co_await wait_if_wanted(connection->young_until(), wakeup_, cancellation_);
    if (!waited) {
      put_back(held_slot_, std::move(connection));
      co_return waited.error();
    }
    fitness = connection->fitness();
  }
  if (fitness == Fitness::kFit) co_return connection;
  count(fitness);
  const Result<void> closed = co_await close(std::move(connection));
  if (!closed) co_return closed.error();
  co_return nullptr;
}

/// Shuts down the router's side and waits for the pod's close, so that the pod never has two connections for one slot.
Task<Result<void>> Opening::close(std::shared_ptr<Connection> connection) {
  waited_ = true;
  connection->begin_close();
  const Deadline until = deadline_after(shard().now(), std::min(options_.abort_wait, options_.connect_timeout));
  for (stream::Progress closing; (closing = connection->await_close()) != stream::Progress::kEnded && shard().now() < until;) {
    connection->stream().arm_read();
    const Deadline next = closing == stream::Progress::kMoved ? shard().now() : until;
    const Result<void> waited = co_await wait_if_wanted(next, wakeup_, cancellation_);
    if (waited) continue;
    put_back(held_slot_, std::move(connection));
    co_return waited.error();
  }
  co_return boost::system::in_place_value;
}

void Opening::count(Fitness fitness) {
  if (options_.cells == nullptr) return;
  if (fitness == Fitness::kAfterError) options_.cells->connection_replaced(metrics::FreshReason::kAfterError);
  if (fitness == Fitness::kUntrusted) options_.cells->connection_replaced(metrics::FreshReason::kClosesSilently);
}

}  // namespace

Task<Result<std::unique_ptr<UpstreamExchange>>> open(dispatch::HeldSlot& held_slot, OpenOptions options, Wakeup& wakeup,
                                                     stream::Cancellation& cancellation) {
  Opening opening(held_slot, options, wakeup, cancellation);
  std::shared_ptr<Connection> connection;
  if (!options.fresh) connection = opening.take_at_once();
  if (connection == nullptr) {
    Result<std::shared_ptr<Connection>> prepared = co_await opening.prepare();
    if (!prepared) co_return prepared.error();
    connection = std::move(*prepared);
  }
  std::unique_ptr<UpstreamExchange> exchange =
      std::make_unique<Http1Exchange>(held_slot, std::move(connection), opening.waited(), options.method, wakeup);
  co_return std::move(exchange);
}

}  // namespace router::upstream
