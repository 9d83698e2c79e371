#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "config/config.h"
#include "router/base/task.h"
#include "router/discovery/probe_limit.h"
#include "router/dispatch/preemptible_slot.h"
#include "router/runtime/address.h"
#include "router/runtime/cancellation.h"
#include "router/runtime/inbox.h"
#include "router/runtime/task_group.h"
#include "tls/context.h"

namespace router::discovery {

/// A slot of the replica for a probe's connection, so that it is none beyond the slots.
struct ProbeSlotOffer {
  dispatch::PreemptibleSlot slot;  // empty: all slots are busy, or
  bool soon = false;               // a connection that rests in the free one is being closed
};

/// Tells the coroutine that holds a slot for a question that an exchange waits for it. Made and read on the control thread.
class Preemption final : public dispatch::PreemptibleHolder, private runtime::Message {
 public:
  explicit Preemption(const std::shared_ptr<runtime::Wakeup>& wakeup) : control_(wakeup->shard()), wakeup_(wakeup) {}
  bool requested() const { return requested_; }
  void preempt() noexcept override;

 private:
  void run() override;
  void dropped() noexcept override { const std::shared_ptr<PreemptibleHolder> ends_here = std::move(self_); }

  runtime::Shard& control_;
  const std::weak_ptr<runtime::Wakeup> wakeup_;  // weak: the last to let go of a preemption may be another thread
  bool requested_ = false;
  std::shared_ptr<PreemptibleHolder> self_;  // on its way to control
};

/// The slot of a question. Empty: none is needed.
class ProbeSlot {
 public:
  ProbeSlot() = default;
  ProbeSlot(dispatch::PreemptibleSlot slot, std::shared_ptr<const Preemption> preemption)
      : preemption_(std::move(preemption)), slot_(std::move(slot)) {}
  explicit operator bool() const { return static_cast<bool>(slot_); }
  /// Whether a request waits for it: the connection is reset at once then, and the question counts as nothing.
  bool preempted() const { return preemption_ != nullptr && preemption_->requested(); }

 private:
  std::shared_ptr<const Preemption> preemption_;
  dispatch::PreemptibleSlot slot_;
};
inline const ProbeSlot kNoSlot;

inline constexpr const char* kMemoryIsShort = "memory is short: a replica is asked later";  // in the log

/// Whom to ask for readiness, and how.
struct ProbeTarget {
  std::string host;  // for the field Host, beside the port that is asked; an IPv6 address in brackets
  runtime::Address address;
  config::HttpRoute route;
  config::Probe settings;
  std::shared_ptr<tls::ClientContext> tls;  // of the control thread; nullptr: plaintext
  std::string server_name;
  std::optional<runtime::Address> other_family;  // FoundReplica::other_family, with what that says
  bool prefers_other_family = false;
  std::function<std::uint64_t()> exchanges_finished;  // grows while the replica answers scoring requests; may be empty
  /// Empty: what is asked is not where the replica scores. The holder is told when an exchange wants the slot.
  std::function<ProbeSlotOffer(std::shared_ptr<dispatch::PreemptibleHolder> holder)> slot;
  Duration close_wait =
      std::chrono::milliseconds(250);  // with a slot: it is kept so long, at most, until the replica has closed
  std::shared_ptr<ProbeLimit> limit;   // nullptr: as many at once as there are replicas
};

enum class Readiness {
  kReady,
  kNotReady,     // it answered with another status
  kUnreachable,  // refused, broken off, or not HTTP
  kNoAnswer,     // nothing within the timeout
  kNotAsked,     // this machine could not even try: out of descriptors, memory or ports
};

/// What one question came to.
struct ProbeAnswer {
  Readiness readiness = Readiness::kNotAsked;
  /// Unless it is ready: `404 from GET /healthz`, `connection refused`. Short; names no host, no address and no query, so that
  /// clients may see it; nothing in it needs escaping.
  std::string why;
  bool connected = false;       // a connection was accepted, whatever came of it
  bool other_connects = false;  // an address of the other family accepts one; false, too, if that was not asked

  bool ready() const { return readiness == Readiness::kReady; }
};

/// Asks one replica over and over whether it is ready, as a kubelet would: a GET of its readiness route, each on a connection
/// of its own; ready is a status from 200 to 399 within the timeout. Tells the first answer, then changes only. The first
/// question is asked at once, and failures within `initial_delay` do not count. As long as it is not ready it is asked at least
/// once a second, so that a replica which has come up is used soon. A server with one worker cannot answer while it scores: a
/// question that timed out does not count if the replica has finished a scoring request meanwhile. A limited replica's probe
/// takes a slot; while all of them are busy it is not asked, and the question is given up as soon as a request waits for its
/// slot. Both count as nothing, and a second later there is another try.
/// Control thread; ends when destroyed, and calls nothing after that.
class ReplicaProber {
 public:
  /// `group` owns the task and outlives it; it must have room. `changed` is called from the loop, as is `answered`, before it:
  /// after each question, also one that does not count because it could not be asked or came too soon.
  ReplicaProber(runtime::Shard& control, runtime::TaskGroup& group, ProbeTarget target, std::function<void(bool ready)> changed,
                std::function<void(const ProbeAnswer&)> answered = {});
  ReplicaProber(const ReplicaProber&) = delete;
  ReplicaProber& operator=(const ReplicaProber&) = delete;
  ~ReplicaProber();

 private:
  struct Probing;
  std::shared_ptr<Probing> probing_;
};

/// The slot for a question, which may be an empty one where none is needed; nothing if all are busy. Suspends while a
/// connection that rests in it is closed, for half a second at most, or until it is cancelled. Throws std::bad_alloc.
Task<std::optional<ProbeSlot>> take_slot(std::shared_ptr<runtime::CancelSource> cancellation, const ProbeTarget& target);

/// One question. Suspends, until `deadline` at most, or until it is cancelled, or because somebody wants the slot: then it is
/// kNotAsked, and the connection is gone.
Task<ProbeAnswer> ask_for_readiness(runtime::Cancellation& cancellation, const ProbeTarget& target, Deadline deadline,
                                    const ProbeSlot& slot = kNoSlot);

/// kReady: a connection to `address` is accepted. It is closed again, and nothing is sent. Suspends likewise.
Task<ProbeAnswer> ask_for_connection(runtime::Cancellation& cancellation, const ProbeTarget& target,
                                     const runtime::Address& address, Deadline deadline, const ProbeSlot& slot = kNoSlot);

}  // namespace router::discovery
