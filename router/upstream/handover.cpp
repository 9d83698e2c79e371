#include "router/upstream/handover.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "router/upstream/replica.h"

namespace router::upstream {
namespace {

using runtime::Shard;
using runtime::Wakeup;

/// A server that handles one connection at a time is deaf to everybody else, a kubelet's probe included, while ours is open: so
/// it closes soon after the last exchange. Under load it never gets that far.
constexpr std::chrono::milliseconds kSlotRest{250};

/// A connection on its way from the shard where it rested. Belongs to that shard, then to the one that it goes to.
struct Handover {
  std::unique_ptr<RestingConnection> resting;  // until its shard lets go of it
  bool wanted = false;                         // as it is; else closing
  int descriptor = -1;
  bool closing = false;
  ConnectionPast past;

  // Only on the shard that it goes to:
  bool arrived = false;
  Wakeup* wakeup = nullptr;  // of who waits for it; nullptr: nobody any more
  dispatch::Lease lease;     // then, what goes back when it arrives

  ~Handover() {
    if (descriptor >= 0) ::close(descriptor);
  }
};

void let_go(Handover& handover) {
  const std::shared_ptr<Connection> connection = handover.resting->take();
  handover.resting.reset();
  if (!handover.wanted || !connection->alive() || connection->stream().is_tls()) connection->begin_close();
  handover.past = connection->past();
  handover.closing = connection->closing();
  handover.descriptor = connection->detach();
}

std::shared_ptr<Connection> adopt(Handover& handover, const dispatch::Lease& lease, Shard& here) {
  if (handover.descriptor < 0) return nullptr;
  tls::Stream stream(runtime::Socket(here, std::exchange(handover.descriptor, -1)));
  stream.socket().note_acknowledged();  // all of it: an answer came for all that was sent
  auto connection =
      std::make_shared<Connection>(here, std::move(stream), static_cast<Replica&>(lease.replica()).habits(), handover.past);
  if (handover.closing) connection->begin_close();
  return connection;
}

void arrive(Handover& handover, Shard& here) {
  handover.arrived = true;
  if (handover.wakeup != nullptr) return handover.wakeup->wake();
  const dispatch::Lease lease = std::move(handover.lease);  // ends here, whatever happens
  if (std::shared_ptr<Connection> connection = adopt(handover, lease, here)) put_back(lease, std::move(connection));
}

}  // namespace

void put_back(const dispatch::Lease& lease, std::shared_ptr<Connection> connection) {
  const auto& replica = static_cast<const Replica&>(lease.replica());
  auto resting = std::make_unique<RestingConnection>(connection, replica.transport());
  RestingPlace place;
  place.pod = replica.pod();
  place.slot = lease.slot();
  place.cargo = resting.get();
  connection->rest(kSlotRest, std::move(place));
  lease.slot()->cargo = std::move(resting);
}

Task<Result<std::shared_ptr<Connection>>> fetch(dispatch::Lease& lease, std::unique_ptr<RestingConnection> resting, bool wanted,
                                                Deadline deadline, Wakeup& wakeup, wire::Cancellation& cancellation) {
  Shard& here = wakeup.shard();
  Shard& home = resting->home();
  auto handover = std::make_shared<Handover>();
  handover->wanted = wanted;
  handover->wakeup = &wakeup;
  handover->resting = std::move(resting);
  home.post([&here, handover] {
    let_go(*handover);
    here.post([handover, &here] { arrive(*handover, here); });
  });
  // Usually it takes the other shard's next turn.
  Result<void> waited;
  while (!handover->arrived && waited) {
    waited = cancellation.still_wanted();
    if (waited && here.now() >= deadline) {
      waited = Failure::internal(Reason::kUpstreamConnectFailed,
                                 "another thread of the router did not hand its connection to the pod over", ETIMEDOUT);
    }
    if (waited) co_await wakeup.wait(std::min(deadline, cancellation.ask_again(here.now())));
  }
  handover->wakeup = nullptr;
  if (handover->arrived) co_return adopt(*handover, lease, here);
  handover->lease = std::move(lease);
  co_return waited.error();
}

}  // namespace router::upstream
