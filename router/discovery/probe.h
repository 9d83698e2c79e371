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

/// A slot of the replica for a probe's connection, so that the replica never has more connections than slots.
struct ProbeSlotOffer {
  dispatch::PreemptibleSlot slot;  // empty: no slot can be used now
  bool soon = false;               // a slot is free, but its idle connection must be closed first
};

/// Notifies the coroutine that holds a slot for a probe when an exchange waits for it. Made and read on the control thread.
class Preemption final : public dispatch::PreemptibleHolder, private runtime::Message {
 public:
  explicit Preemption(const std::shared_ptr<runtime::Wakeup>& wakeup) : control_(wakeup->shard()), wakeup_(wakeup) {}
  bool requested() const { return requested_; }
  void preempt() noexcept override;

 private:
  void run() override;
  void dropped() noexcept override { const std::shared_ptr<PreemptibleHolder> ends_here = std::move(self_); }

  runtime::Shard& control_;
  const std::weak_ptr<runtime::Wakeup> wakeup_;  // weak: another thread may drop the last reference to this object
  bool requested_ = false;
  std::shared_ptr<PreemptibleHolder> self_;  // keeps this alive while the message to control is under way
};

/// The slot of a probe. Empty: none is needed.
class ProbeSlot {
 public:
  ProbeSlot() = default;
  ProbeSlot(dispatch::PreemptibleSlot slot, std::shared_ptr<const Preemption> preemption)
      : preemption_(std::move(preemption)), slot_(std::move(slot)) {}
  explicit operator bool() const { return static_cast<bool>(slot_); }
  /// Whether an exchange waits for the slot. Then the connection is reset at once, and the probe does not count.
  bool preempted() const { return preemption_ != nullptr && preemption_->requested(); }

 private:
  std::shared_ptr<const Preemption> preemption_;
  dispatch::PreemptibleSlot slot_;
};
inline const ProbeSlot kNoSlot;

inline constexpr const char* kMemoryIsShort = "memory is short: a replica is probed later";  // for the log

/// The replica to probe, and how.
struct ProbeTarget {
  std::string host;  // for the field Host, together with the port of `address`; an IPv6 address is in brackets
  runtime::Address address;
  config::HttpRoute route;
  config::Probe settings;
  std::shared_ptr<tls::ClientContext> tls;  // of the control thread; nullptr: plaintext
  std::string server_name;
  std::optional<runtime::Address> other_family;  // see FoundReplica::other_family
  bool prefers_other_family = false;
  std::function<std::uint64_t()> exchanges_finished;  // grows while the replica answers scoring requests; may be empty
  /// Takes a slot. Empty: the probed port is not the one that scores. The holder is notified when an exchange wants the slot.
  std::function<ProbeSlotOffer(std::shared_ptr<dispatch::PreemptibleHolder> holder)> slot;
  Duration close_wait =
      std::chrono::milliseconds(250);  // how long a slot is kept, at most, until the replica has closed the connection
  std::shared_ptr<ProbeLimit> limit;   // nullptr: no limit on concurrent probes
};

enum class Readiness {
  kReady,
  kNotReady,     // it answered with another status
  kUnreachable,  // the connection was refused or broke, or the answer is not HTTP
  kNoAnswer,     // no answer within the timeout
  kNotAsked,     // the probe was not made or was cancelled; or this machine is short of descriptors, memory or ports
};

/// The result of one probe.
struct ProbeAnswer {
  Readiness readiness = Readiness::kNotAsked;
  /// The reason, unless the replica is ready: `404 from GET /healthz`, `connection refused`. It is short, contains no host, no
  /// address and no query, so that clients may see it, and needs no escaping.
  std::string why;
  bool connected = false;       // a connection was accepted, whatever followed
  bool other_connects = false;  // an address of the other family accepted a connection; false, too, if none was tried

  bool ready() const { return readiness == Readiness::kReady; }
};

/// Probes the readiness of one replica periodically, like a kubelet: a GET of its readiness route, each on a new connection. A
/// status from 200 to 399 within the timeout means ready. It reports the first result, then changes only.
/// The first probe is sent at once; failures within `initial_delay` do not count. While the replica is not ready it is probed
/// at least once a second, so that it is used soon after it has become ready. A server with one worker cannot answer while it
/// scores, so a probe that timed out does not count if the replica has finished a scoring request meanwhile.
/// The probe of a replica with a limit takes a slot. While all slots are busy no probe is sent, and a probe is aborted as soon
/// as an exchange waits for its slot. Neither counts as a result; the next try follows within a second.
/// Control thread. It stops when destroyed, and calls nothing after that.
class ReplicaProber {
 public:
  /// `group` owns the task and outlives it; it must have room for one more task. Both functions are called from the loop.
  /// `answered` is called after each probe, also after one that could not be made or that failed within `initial_delay`, but
  /// not after one that timed out while the replica scored or that gave up its slot. `changed` follows if the readiness
  /// changed.
  ReplicaProber(runtime::Shard& control, runtime::TaskGroup& group, ProbeTarget target, std::function<void(bool ready)> changed,
                std::function<void(const ProbeAnswer&)> answered = {});
  ReplicaProber(const ReplicaProber&) = delete;
  ReplicaProber& operator=(const ReplicaProber&) = delete;
  ~ReplicaProber();

 private:
  struct Probing;
  std::shared_ptr<Probing> probing_;
};

/// Takes a slot for a probe: an empty ProbeSlot if none is needed, nothing if all are busy. Suspends while the idle connection
/// of a free slot is being closed, for half a second at most, or until it is cancelled. Throws std::bad_alloc.
Task<std::optional<ProbeSlot>> take_slot(std::shared_ptr<runtime::CancelSource> cancellation, const ProbeTarget& target);

/// Sends one probe. Suspends until the answer arrives, at most until `deadline`. If it is cancelled, or an exchange wants the
/// slot, the result is kNotAsked and the connection is closed.
Task<ProbeAnswer> ask_for_readiness(runtime::Cancellation& cancellation, const ProbeTarget& target, Deadline deadline,
                                    const ProbeSlot& slot = kNoSlot);

/// Opens a connection to `address` and closes it; sends nothing. kReady: the connection was accepted. Suspends like
/// ask_for_readiness.
Task<ProbeAnswer> ask_for_connection(runtime::Cancellation& cancellation, const ProbeTarget& target,
                                     const runtime::Address& address, Deadline deadline, const ProbeSlot& slot = kNoSlot);

}  // namespace router::discovery
