#include "router/upstream/handover.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <new>
#include <utility>

#include "router/upstream/replica.h"

namespace router::upstream {
namespace {

using runtime::Shard;
using runtime::Wakeup;

/// How long a connection stays idle in a slot. While it is open, a server that handles one connection at a time accepts no
/// other, not even a kubelet's probe, so the router closes it soon. Under load a connection is never idle that long.
constexpr std::chrono::milliseconds kSlotRest{250};

/// Moves an idle connection from its own shard to another one: a message that is sent there and back.
class Handover final : public runtime::Message {
 public:
  Handover(std::unique_ptr<RestingConnection> resting, bool wanted, Wakeup& wakeup)
      : resting_(std::move(resting)), wanted_(wanted), here_(wakeup.shard()), wakeup_(&wakeup) {}
  ~Handover() override {
    if (descriptor_ >= 0) ::close(descriptor_);
  }

  static void send(const std::shared_ptr<Handover>& handover) noexcept {
    handover->under_way_ = handover;
    handover->resting_->owner().send(*handover);
  }

  // Called on the destination shard:
  bool arrived() const { return arrived_; }
  /// The exchange stops waiting: when the connection arrives, it is put into the slot, and the slot is given back.
  void leave(dispatch::HeldSlot held_slot) {
    wakeup_ = nullptr;
    held_slot_ = std::move(held_slot);
  }
  /// Returns the connection that has arrived; nullptr: it has ended.
  std::shared_ptr<Connection> take(const dispatch::HeldSlot& held_slot);

 private:
  void run() override { resting_ != nullptr ? run_at_home() : arrive(); }
  void dropped() noexcept override { under_way_.reset(); }
  void run_at_home();
  void let_go(Connection& connection);
  void arrive();

  std::unique_ptr<RestingConnection> resting_;  // until its shard releases it
  const bool wanted_;                           // for a request; else it arrives closing
  int descriptor_ = -1;
  bool closing_ = false;
  ConnectionPast past_;

  Shard& here_;
  bool arrived_ = false;
  Wakeup* wakeup_;                // of the waiting exchange; nullptr: it has stopped waiting
  dispatch::HeldSlot held_slot_;  // after `leave`
  std::shared_ptr<Handover> under_way_;
};

/// Sends the message back whatever happens to the connection. No member is used after that.
void Handover::run_at_home() {
  try {
    let_go(*std::exchange(resting_, nullptr)->take());
  } catch (const std::bad_alloc&) {  // the connection has ended
  }
  here_.send(*this);
}

void Handover::let_go(Connection& connection) {
  if (!wanted_ || !connection.alive() || connection.stream().is_tls()) connection.begin_close();
  past_ = connection.past();
  closing_ = connection.closing();
  descriptor_ = connection.detach();
}

std::shared_ptr<Connection> Handover::take(const dispatch::HeldSlot& held_slot) {
  wakeup_ = nullptr;
  if (descriptor_ < 0) return nullptr;
  tls::Stream stream(runtime::Socket(here_, std::exchange(descriptor_, -1)));
  stream.socket().note_acknowledged();  // the pod has answered, so it has acknowledged all that was sent
  auto connection = std::make_shared<Connection>(here_, std::move(stream), replica_of(held_slot).habits(), past_);
  if (closing_) connection->begin_close();
  return connection;
}

void Handover::arrive() {
  const std::shared_ptr<Handover> self = std::move(under_way_);
  arrived_ = true;
  if (wakeup_ != nullptr) return wakeup_->wake();
  const dispatch::HeldSlot held_slot = std::move(held_slot_);  // given back when this function returns
  try {
    if (std::shared_ptr<Connection> connection = take(held_slot)) put_back(held_slot, std::move(connection));
  } catch (const std::bad_alloc&) {  // the connection has ended
  }
}

void lay_down(const dispatch::HeldSlot& held_slot, std::shared_ptr<Connection> connection) {
  const Replica& replica = replica_of(held_slot);
  Connection& rests = *connection;
  auto resting = std::make_unique<RestingConnection>(std::move(connection), replica.transport());
  IdleLocation location;
  location.pod = replica.pod();
  location.entry = held_slot.entry();
  location.stocked = resting.get();
  rests.rest(kSlotRest, std::move(location));
  held_slot.entry()->connection = std::move(resting);
}

}  // namespace

void put_back(const dispatch::HeldSlot& held_slot, std::shared_ptr<Connection> connection) noexcept {
  try {
    lay_down(held_slot, std::move(connection));
  } catch (const std::bad_alloc&) {  // the connection has ended
  }
}

Task<Result<std::shared_ptr<Connection>>> fetch(dispatch::HeldSlot& held_slot, std::unique_ptr<RestingConnection> resting,
                                                bool wanted, Deadline deadline, Wakeup& wakeup,
                                                stream::Cancellation& cancellation) {
  Shard& here = wakeup.shard();
  const auto handover = std::make_shared<Handover>(std::move(resting), wanted, wakeup);
  Handover::send(handover);
  // Usually this takes one turn of the other shard's event loop.
  Result<void> waited;
  while (!handover->arrived() && waited) {
    waited = cancellation.still_wanted();
    if (waited && here.now() >= deadline) {
      waited = Failure::internal(Reason::kUpstreamConnectFailed,
                                 "another thread of the router did not hand over its connection to the pod in time", ETIMEDOUT);
    }
    if (waited) co_await wakeup.wait(std::min(deadline, cancellation.ask_again(here.now())));
  }
  if (handover->arrived()) co_return handover->take(held_slot);
  handover->leave(std::move(held_slot));
  co_return waited.error();
}

}  // namespace router::upstream
