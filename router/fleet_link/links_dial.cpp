#include "router/fleet_link/links_dial.h"

#include <algorithm>
#include <iterator>
#include <new>
#include <utility>

#include "router/base/log.h"
#include "router/fleet_link/vanishing.h"

namespace router::fleet_link {

using runtime::Address;
using runtime::CancelSource;

namespace {

/// Waits until the connection is there, or says why not.
Task<std::optional<Unopened>> connected(runtime::Socket& socket, Life& life, Deadline deadline) {
  int error = 0;
  while (!socket.is_connected(error)) {
    if (error != 0) co_return Unopened{"connecting failed", error};
    socket.arm_write();
    const bool woken = co_await life.wakeup().wait(deadline);
    if (!woken) co_return Unopened{"no answer in time", 0};
    if (life.cancelled()) co_return Unopened{"closed", 0};
  }
  co_return std::nullopt;
}

}  // namespace

void Links::set_peers(const std::vector<Address>& addresses) {
  const auto find = [](const Dials& dials, const Address& address) -> std::shared_ptr<Dial> {
    const auto found = std::find_if(dials.begin(), dials.end(), [&](const auto& dial) { return dial->address == address; });
    return found != dials.end() ? *found : nullptr;
  };
  Dials all;
  Dials fresh;
  for (const Address& address : addresses) {
    if (all.size() == options_.members_max) break;
    if (find(all, address)) continue;
    const std::shared_ptr<Dial> known = find(dials_, address);
    if (!known) fresh.push_back(std::make_shared<Dial>(*this, address));
    all.push_back(known ? known : fresh.back());
  }
  Dials gone;
  std::copy_if(dials_.begin(), dials_.end(), std::back_inserter(gone),
               [&](const auto& dial) { return !find(all, dial->address); });
  // Nothing below needs memory.
  dials_.swap(all);
  for (const std::shared_ptr<Dial>& dial : gone) dial->stop();
  for (const std::shared_ptr<Dial>& dial : fresh) dial->begin(tasks_);
}

/// An address needs a dial until somebody has answered there, and later while there is no link to who did.
bool Links::wants_link(const Dial& dial) const {
  if (dial.is_own || client_ == nullptr) return false;
  return dial.reached.empty() || !members_.contains(dial.reached);
}

/// Tells a dial where its coroutine waits, as long as that runs.
class Links::Napping {
 public:
  Napping(Dial& dial, Life& nap) : dial_(dial) { dial.nap = &nap; }
  Napping(const Napping&) = delete;
  Napping& operator=(const Napping&) = delete;
  ~Napping() { dial_.nap = nullptr; }

 private:
  Dial& dial_;
};

Task<void> Links::keep(Dial& dial) {
  Life nap(shard_);
  const Napping napping(dial, nap);
  while (!dial.cancelled()) {
    dial.is_due = false;
    Duration pause = options_.look_again;
    if (wants_link(dial)) pause = co_await attempt(dial);
    const Deadline next = deadline_after(shard_.now(), pause);
    while (!dial.cancelled() && !dial.is_due && shard_.now() < next) co_await nap.wakeup().wait(next);
  }
}

void Links::dial_now(const Address& address) noexcept {
  for (const std::shared_ptr<Dial>& dial : dials_) {
    if (dial->address != address || !wants_link(*dial)) continue;
    dial->is_due = true;
    dial->pause = {};
    if (dial->nap != nullptr) dial->nap->wake();
  }
}

/// Returns the time until the next attempt.
Task<Duration> Links::attempt(Dial& dial) {
  std::optional<Unopened> failed;
  try {
    failed = co_await dial_once(dial);
    if (failed && !dial.is_own && !dial.cancelled()) events_.unreachable(dial.address, failed->cause, failed->system_error);
  } catch (const std::bad_alloc&) {
    log::error("memory is short: a link of the fleet could not be opened");
    failed = Unopened{"memory is short", 0};
  }
  dial.attempt = nullptr;
  if (!failed) dial.pause = {};
  dial.pause = std::clamp<Duration>(2 * dial.pause, options_.redial_first, options_.redial_max);
  // Spread by a quarter, so that all members do not dial a new one in step.
  co_return dial.pause* static_cast<int>(75 + shard_.random() % 50) / 100;
}

Task<std::optional<Unopened>> Links::dial_once(Dial& dial) {
  dial.attempt = std::make_shared<Life>(shard_);
  const std::shared_ptr<Life> life = dial.attempt;
  int error = 0;
  runtime::Socket socket = runtime::start_connect(shard_, dial.address.bytes(), error);
  if (!socket.is_open()) co_return Unopened{"connecting failed", error};
  socket.set_waker(&life->wakeup());
  const std::optional<Unopened> failed = co_await connected(socket, *life, deadline_after(shard_.now(), options_.connect_max));
  if (failed) co_return failed;
  notice_vanishing(socket.descriptor());
  const runtime::IoResult wrote = socket.write(std::string_view(&kLinkByte, 1));
  if (wrote.state != runtime::IoState::kDone) co_return Unopened{"the connection broke", wrote.system_error};
  const std::shared_ptr<const tls::PskClientContext> context = client_;
  Link link(Link::Origin{true, context, life, options_.unsent_max}, tls::Stream(std::move(socket), *context));
  Strangers::Stay nobody;
  co_return co_await live(link, std::move(nobody), &dial);
}

// --- proof of death
// -------------------------------------------------------------------------------------------------------------

/// Begins to look for a proof that the peer of `link`, the last one to that member, is dead: if this process has reached the
/// member itself under an address.
void Links::prove(const Link& link) noexcept {
  if (!options_.trust_refused || closed_) return;
  const auto reached =
      std::find_if(dials_.begin(), dials_.end(), [&](const auto& dial) { return dial->reached == link.member; });
  if (reached == dials_.end()) return;
  try {
    tasks_.try_spawn(probe(link.member, (*reached)->address));
  } catch (const std::bad_alloc&) {
    log::error("memory is short: no proof of death is looked for");
  }
}

Task<void> Links::probe(std::string member, Address address) {
  const std::shared_ptr<CancelSource> life = CancelSource::make(shard_);
  const bool dead = co_await prove_dead(*life, address, options_.probe);
  if (!dead || members_.contains(member) || closed_) co_return;
  ++counts_.proven_dead;
  events_.proven_dead(member);
}

}  // namespace router::fleet_link
