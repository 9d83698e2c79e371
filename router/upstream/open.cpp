#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "router/runtime/descriptors.h"
#include "router/upstream/exchange.h"
#include "router/upstream/http1_exchange.h"
#include "router/upstream/replica.h"

namespace router::upstream {
namespace {

using runtime::IoResult;
using runtime::IoState;
using runtime::Shard;
using runtime::Wakeup;

/// A connection on its way from the shard where it rested. `waker` is nullptr once nobody waits any more.
struct Handover {
  int descriptor = -1;
  bool arrived = false;
  Wakeup* wakeup = nullptr;
  ~Handover() {
    if (descriptor >= 0) ::close(descriptor);
  }
};

/// Brings the connection that rests in a slot on another shard over here; if it cannot be moved it is closed there first, so
/// that a slot never owns two. Nothing if there is none afterwards.
Task<std::shared_ptr<Connection>> fetch(std::unique_ptr<RestingConnection> resting, bool wanted, Wakeup& wakeup) {
  Shard& here = wakeup.shard();
  Shard& home = resting->home();
  auto handover = std::make_shared<Handover>();
  handover->wakeup = &wakeup;
  home.post([&here, handover, wanted, resting = std::move(resting)]() mutable {
    if (const std::shared_ptr<Connection> connection = resting->take(); wanted && connection->usable())
      handover->descriptor = connection->detach();
    here.post([handover] {
      handover->arrived = true;
      if (handover->wakeup != nullptr) handover->wakeup->wake();
    });
  });
  while (!handover->arrived) co_await wakeup.wait(kNever);  // the other shard's next turn
  handover->wakeup = nullptr;
  if (handover->descriptor < 0) co_return nullptr;
  tls::Stream stream(runtime::Socket(here, std::exchange(handover->descriptor, -1)));
  stream.socket().note_acknowledged();  // all of it: an answer came for all that was sent
  co_return std::make_shared<Connection>(here, std::move(stream), 1);
}

/// The connection that the leased slot owns, if it can be used.
Task<std::shared_ptr<Connection>> resting_connection(const dispatch::Lease& lease, Wakeup& wakeup) {
  Shard& shard = wakeup.shard();
  std::shared_ptr<Connection> connection;
  if (dispatch::Slot* slot = lease.slot()) {
    if (!slot->cargo) co_return nullptr;
    std::unique_ptr<RestingConnection> resting(static_cast<RestingConnection*>(slot->cargo.release()));
    const bool wanted = resting->speaks(static_cast<Replica&>(lease.replica()).transport());
    if (resting->shard() == shard.index()) {
      connection = resting->take();
    } else {
      connection = co_await fetch(std::move(resting), wanted, wakeup);
    }
    if (connection && !(wanted && connection->usable())) connection.reset();
    co_return connection;
  }
  Replica::Pool& pool = static_cast<Replica&>(lease.replica()).pool(shard.index());
  while (!pool.empty() && !connection) {
    connection = std::move(pool.back());
    pool.pop_back();
    if (!connection->usable()) connection.reset();
  }
  co_return connection;
}

/// What this machine ran short of is not the pod's fault: the origin says so, for whoever judges pods by their failures.
Failure connect_failed(const char* cause, int system_error) {
  if (runtime::is_our_shortage(system_error)) {
    return Failure::internal(Reason::kUpstreamConnectFailed, "the router ran short of descriptors, ports or memory",
                             system_error);
  }
  return Failure::upstream(Reason::kUpstreamConnectFailed, cause, system_error);
}

tls::Stream make_stream(const Replica& replica, Shard& shard, runtime::Socket socket) {
  if (replica.transport() == nullptr) return tls::Stream(std::move(socket));
  return tls::Stream(std::move(socket), *replica.transport()->contexts[shard.index()], replica.server_name());
}

/// Waits until the socket can go on, the deadline passes, or the exchange is no longer wanted.
Task<Result<void>> wait_to_connect(Deadline deadline, Wakeup& wakeup, wire::Cancellation& cancellation) {
  if (const Result<void> wanted = cancellation.still_wanted(); !wanted) co_return wanted.error();
  co_await wakeup.wait(std::min(deadline, cancellation.ask_again(wakeup.shard().now())));
  if (wakeup.shard().now() >= deadline) {
    co_return connect_failed("connecting to the pod took longer than connect_timeout_ms", ETIMEDOUT);
  }
  co_return boost::system::in_place_value;
}

Task<Result<std::shared_ptr<Connection>>> connect(const Replica& replica, Duration timeout, Wakeup& wakeup,
                                                  wire::Cancellation& cancellation) {
  Shard& shard = wakeup.shard();
  const Deadline deadline = deadline_after(shard.now(), timeout);
  int error = 0;
  runtime::Socket socket = runtime::start_connect(shard, replica.address().bytes(), error);
  if (!socket.is_open()) co_return connect_failed("the connection to the pod could not be started", error);
  socket.set_waker(&wakeup);
  while (!socket.is_connected(error)) {
    if (error != 0) co_return connect_failed("the pod refused the connection", error);
    socket.arm_write();
    const Result<void> waited = co_await wait_to_connect(deadline, wakeup, cancellation);
    if (!waited) co_return waited.error();
  }
  socket.note_acknowledged();
  tls::Stream stream = make_stream(replica, shard, std::move(socket));
  for (;;) {
    const IoResult shaken = stream.handshake();
    if (shaken.state == IoState::kDone) break;
    if (shaken.state != IoState::kBlocked) co_return connect_failed(shaken.cause, shaken.system_error);
    stream.arm_read();
    const Result<void> waited = co_await wait_to_connect(deadline, wakeup, cancellation);
    if (!waited) co_return waited.error();
  }
  co_return std::make_shared<Connection>(shard, std::move(stream));
}

}  // namespace

Task<Result<std::unique_ptr<UpstreamExchange>>> open(dispatch::Lease& lease, OpenOptions options, Wakeup& wakeup,
                                                     wire::Cancellation& cancellation) {
  std::shared_ptr<Connection> connection;
  if (!options.fresh) connection = co_await resting_connection(lease, wakeup);
  if (!connection) {
    Result<std::shared_ptr<Connection>> fresh =
        co_await connect(static_cast<Replica&>(lease.replica()), options.connect_timeout, wakeup, cancellation);
    if (!fresh) {
      if (blames_replica(fresh.error())) lease.verdict().outcome = dispatch::Verdict::Outcome::kFailed;
      if (is_refusal(fresh.error())) lease.verdict().outcome = dispatch::Verdict::Outcome::kRefused;
      co_return fresh.error();
    }
    connection = std::move(*fresh);
  }
  std::unique_ptr<UpstreamExchange> exchange =
      std::make_unique<Http1Exchange>(std::move(lease), std::move(connection), options.method, wakeup);
  co_return std::move(exchange);
}

}  // namespace router::upstream
