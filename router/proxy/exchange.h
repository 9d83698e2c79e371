#pragma once

#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "router/base/task.h"
#include "router/dispatch/request_queue.h"
#include "router/proxy/account.h"
#include "router/proxy/attempt.h"
#include "router/proxy/downstream.h"
#include "router/proxy/heads.h"
#include "router/proxy/member_downstream.h"
#include "router/proxy/mirror.h"
#include "router/proxy/patience.h"
#include "router/proxy/record.h"
#include "router/proxy/settle.h"
#include "router/proxy/view.h"
#include "router/runtime/wakeup.h"

namespace router::proxy {

class SendOn;
class ShardServer;

/// The local reply of the home of a request that was sent on: what this router's reply takes from it.
struct HomeSaid {
  HomeSaid(Reason why, std::string text, std::optional<std::chrono::seconds> again)
      : reason(why), message(std::move(text)), retry_after(again) {}
  Reason reason;
  std::string message;  // needs no escaping; empty: none
  std::optional<std::chrono::seconds> retry_after;
};

/// One request with its response: its steps, and what they share. Read exchange.cpp first: it is the main path of the router.
/// One shard.
class Exchange {
 public:
  /// `member`: the downstream, if another router of the fleet has sent the request on; else nullptr.
  Exchange(ShardServer& server, Downstream& downstream, runtime::Wakeup& wakeup, MemberDownstream* member = nullptr);
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  /// The request comes from another router of the fleet, where it has waited for `age`. That counts for its place in the queue
  /// and for the time that it may wait. Before `answer`.
  void came_with_age(Duration age) {
    time_in_queue_ = age;
    arrival_ = wakeup_.shard().now() - age;
  }
  /// Serves the request, or fails with the reason why not. Suspends.
  Task<Result<void>> answer();
  /// Records a failure and writes it as the response, unless a response has begun or the client has closed the connection.
  void refuse(const Failure& failure);
  /// Counts and logs the exchange. Once, when both sides are settled.
  void report(const Settled& settled);

  /// Tells a client that waits for it to send its body (RFC 9110, 10.1.1). Fails with client_closed.
  Result<void> send_continue();
  /// Whether that was sent, and nothing of the body has arrived since.
  bool owes_first_byte();

  // What the steps work with:
  ShardServer& server() { return server_; }
  Downstream& downstream() { return downstream_; }
  runtime::Wakeup& wakeup() { return wakeup_; }
  const View& view() const { return *view_; }
  const RequestIds& ids() const { return ids_; }
  const model::Route& route() const { return route_; }
  Patience patience() const { return patience_; }
  Attempt& attempt() { return attempt_; }
  Record& record() { return record_; }
  /// Collects the request for the mirrored deployment. nullptr: it is not mirrored, or the copy was sent already.
  std::unique_ptr<MirrorCopy>& mirror_copy() { return copy_; }
  /// Of the other router that has sent the request on; nullptr: a client's request.
  MemberDownstream* member() { return member_; }
  /// While the request is sent on to another router; else nullptr.
  SendOn* send_on() { return send_on_; }
  /// Those that apply to the other side of `downstream`.
  const config::Limits& limits() const { return member_ == nullptr ? view_->limits : MemberDownstream::limits(); }
  /// Until when the request may be held for a first replica: counted from its arrival, at whatever router.
  Deadline held_until() const;
  /// When the client's side was over, if it is.
  TimePoint ended() const { return ended_; }

 private:
  friend class SendOn;  // its steps are steps of the exchange

  /// Whether another router is home of the request's namespace.
  bool home_is_elsewhere() const {
    const dispatch::NamespaceHome* home = route_.deployment->home.get();
    return home != nullptr && home->where() != dispatch::NamespaceHome::kHere;
  }
  /// Sends the request on to the home until it is answered. Fails with kHomeMoved if this router is home by then, or the
  /// request came from another router, which then looks for the home itself. `moved`: it was home until just now. Suspends.
  Task<Result<void>> reach_home(bool moved);
  /// Before the queue of this router, after `reach_home` has failed with kHomeMoved. The request keeps its place in the order
  /// of arrival. A newer configuration may have given the deployment a limit, and with it a home, or have taken it away: then
  /// every decision is made again.
  Result<void> come_home();
  /// One try at the home. Afterwards the attempt is over, unless it can be made again. Suspends.
  Task<Result<void>> forward_to_home();
  /// For a request that another router has sent on: finds what its fields name.
  Result<void> admit_sent_on();
  /// Tells the other router that the pod may see the request from now on. The pod gets nothing before the kernel has taken it.
  Result<void> announce();
  /// Suspends until the kernel has taken it, while it takes nothing.
  Task<Result<void>> wait_until_announced();
  void refuse_sent_on(const Failure& failure);
  /// Finds the endpoint, checks the key, chooses the deployment, checks the size and the time left.
  Result<void> admit();
  /// Counts the request for the autoscaler, where its client is. A mirrored copy is no request of a client.
  void note_arrival();
  /// Counts the refusal for the autoscaler, where it was made. `told`: Retry-After.
  void note_refusal(Reason reason, std::chrono::seconds told);
  /// Waits in the queue until the attempt holds a slot. Its replica belongs to no newer configuration than the view. Suspends.
  Task<Result<void>> wait_for_slot();
  Task<Result<dispatch::HeldSlot>> acquire_slot();
  Task<Result<void>> pause_uncovered(Deadline deadline);
  Task<Result<void>> catch_up(std::uint64_t generation);
  Duration queue_time_left() const;
  /// When the wait ends that begins at `from`.
  Deadline queue_deadline(TimePoint from) const { return held_ ? held_until() : patience_.until(from, queue_time_left()); }
  void leave_queue(TimePoint begun);
  void note_queue_time(TimePoint begun);
  /// Opens a connection to the replica of the slot. Suspends.
  Task<Result<void>> open_connection();
  /// Sends the request and the response. Suspends. Afterwards the attempt is over, unless it failed in a way that allows to
  /// start over.
  Task<Result<void>> forward();
  void prepare_mirror_copy();
  void begin_mirror_copy(const model::Route& to_mirror);
  RequestAdditions additions() const;
  /// Whether another attempt is allowed. Each kind is allowed once, within the deployment's budget; after a refused connection
  /// as often as the queue time lasts, outside of the budget (contract, section 6). A call that returns true uses it up.
  bool may_go_elsewhere(const Failure& failure);
  /// Gives the slot up. The next `wait_for_slot` waits at the same position.
  void go_back_to_queue(const Failure& failure);
  bool may_start_over();

  ShardServer& server_;
  Downstream& downstream_;
  runtime::Wakeup& wakeup_;
  Views::Snapshot view_;  // taken once; `wait_for_slot` replaces it only for a replica of a newer configuration
  RequestIds ids_;
  Record record_;  // only written: no step decides anything by it
  Account account_{server_, view_, downstream_, record_};
  MemberDownstream* const member_;
  SendOn* send_on_ = nullptr;
  const std::uint64_t draw_;  // for the traffic split: the same under every view

  const model::Endpoint* endpoint_ = nullptr;  // nullptr: not found
  model::Route route_;
  Patience patience_;
  dispatch::QueuePosition position_;  // of an attempt that had to give its slot up
  TimePoint left_queue_{};
  Duration time_in_queue_{};  // of all attempts, and of routers that have sent the request on
  TimePoint arrival_{};       // at the router that has sent it on; zero: none has
  int attempts_ = 0;
  bool arrived_ = false;           // was admitted once
  bool held_ = false;              // was held for a first replica: its time in the queue is that of such a request
  bool went_elsewhere_ = false;    // after a connection that could not be made
  bool started_over_ = false;      // after a connection that had ended before it was used
  bool uncovered_ = false;         // the last attempt could not begin, because the process was not covered
  bool bound_to_replica_ = false;  // the request may have ended its replica: no other one gets it
  bool mirrored_ = false;          // `copy_` was made, or is not needed
  bool is_copy_ = false;           // a mirrored copy that another router has sent on: it takes an idle slot or none
  bool continued_ = false;         // 100 (Continue) was sent, if the client waited for it
  bool refused_ = false;
  std::unique_ptr<MirrorCopy> copy_;
  std::unique_ptr<HomeSaid> home_said_;
  TimePoint ended_{};
  Attempt attempt_;
};

/// What an exception that ended an exchange is for its client. Logs it.
Failure failure_of(const std::exception& error) noexcept;

/// Runs one request from its head to the last byte of its response. Suspends. In every case the request is answered or its
/// connection is cut, and the slot is given back. The exchange is counted and logged once, except for `/healthz` and OPTIONS
/// with `Max-Forwards: 0`, which take no slot.
Task<void> run_exchange(ShardServer& server, Downstream& downstream, runtime::Wakeup& wakeup);

/// Runs one request that another router of the fleet has sent on, from the queue on. That router counts and logs it. Suspends.
Task<void> run_sent_on(ShardServer& server, MemberDownstream& downstream, runtime::Wakeup& wakeup);

/// Answers a request whose head could not be read. The metrics and the access log contain it like any other request. Suspends.
Task<void> refuse_head(ShardServer& server, Downstream& downstream, runtime::Wakeup& wakeup, Failure failure);

}  // namespace router::proxy
