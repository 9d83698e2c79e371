#include "router/proxy/send_on.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "router/proxy/acquire.h"
#include "router/proxy/exchange.h"
#include "router/proxy/server.h"

namespace router::proxy {
namespace {

using dispatch::NamespaceHome;
using std::chrono::milliseconds;

constexpr milliseconds kLook{20};   // while nobody is home
constexpr milliseconds kPause{20};  // before the same home is asked again
constexpr int kTriesAtOnce = 3;     // without a pause between them
constexpr milliseconds kLastWord{1000};
constexpr milliseconds kSlack{500};  // for the home's own deadlines, which come first

}  // namespace

SendOn::SendOn(Exchange& exchange)
    : exchange_(exchange),
      arrived_(exchange.wakeup().shard().now()),
      held_until_(exchange.route().deployment->hold > Duration{} ? exchange.held_until() : TimePoint::min()),
      wakes_(held_until_ != TimePoint::min() && exchange.route().deployment->queue->wakes()),
      deadline_(wakes_ ? held_until_ : exchange.queue_deadline(arrived_)),
      view_(exchange.server().view()),
      arrival_(exchange.wakeup()),
      at_(NamespaceHome::kNobody),
      named_(NamespaceHome::kNobody),
      last_(Failure::internal(Reason::kQueueTimeout, "no router was home of the namespace within max_queue_wait_ms")) {
  exchange_.send_on_ = this;
  exchange_.record_.queued = arrived_;
}

SendOn::~SendOn() {
  exchange_.send_on_ = nullptr;
  if (!begun_at_pod_) exchange_.leave_queue(arrived_);
}

Task<Result<void>> SendOn::run(bool moved) {
  if (moved && look() == NamespaceHome::kHere) {  // the home is about to come back: look again in a moment
    const Result<void> waited = co_await pause(kLook);
    if (!waited) co_return waited.error();
  }
  for (;;) {
    at_ = look();
    if (at_ == NamespaceHome::kHere)
      co_return Failure::internal(Reason::kHomeMoved, "this router is home of the namespace now");
    view_ = exchange_.server().view();
    if ((at_ == NamespaceHome::kNobody || unknown_) && view_->generation != exchange_.view().generation)
      co_return Failure::internal(Reason::kHomeMoved, "a newer configuration may say otherwise");
    Duration wait = kLook;
    named_ = NamespaceHome::kNobody;
    if (peer() != nullptr) {
      const Result<void> sent = co_await send();
      if (sent) co_return sent;
      Failure failure = sent.error();
      const Next next = co_await what_follows(failure);
      if (next == Next::kDone) co_return failure;
      wait = next == Next::kAgain && ++tries_ < kTriesAtOnce ? Duration{} : Duration{kPause};
    }
    const Result<void> waited = co_await pause(wait);
    if (!waited) co_return waited.error();
  }
}

std::int32_t SendOn::look() const {
  if (named_ >= 0) return named_;
  const dispatch::NamespaceHome* home = exchange_.route().deployment->home.get();
  return home != nullptr ? home->where() : NamespaceHome::kHere;
}

upstream::Peer* SendOn::peer() const {
  const std::shared_ptr<const upstream::Peers>& peers = exchange_.server().view()->peers;
  return peers == nullptr ? nullptr : peers->at(at_);
}

std::int32_t SendOn::find_member(std::string_view id) const {
  if (view_->peers == nullptr || id.empty()) return NamespaceHome::kNobody;
  const auto& members = view_->peers->members;
  const auto found =
      std::find_if(members.begin(), members.end(), [id](const auto& each) { return each != nullptr && each->member() == id; });
  return found == members.end() ? NamespaceHome::kNobody : static_cast<std::int32_t>(found - members.begin());
}

Task<Result<void>> SendOn::send() {
  upstream::Peer& to = *peer();
  begun_at_pod_ = replied_ = false;
  lost_ = {};
  exchange_.home_said_.reset();  // by the try before
  place_ = to.enter();
  if (!place_ && wakes_) co_return Failure::internal(Reason::kWaking, "too many requests wait at the home of the namespace");
  if (!place_) co_return Failure::internal(Reason::kQueueFull, "too many requests wait at the home of the namespace");
  runtime::Wakeup& wakeup = exchange_.wakeup();
  Downstream& client = exchange_.downstream();
  Result<dispatch::HeldSlot> slot = co_await acquire(to.queue(), {}, deadline_, wakeup, client);
  if (!slot) co_return slot.error();
  exchange_.attempt().hold(std::move(*slot));
  const Result<void> opened = co_await exchange_.open_connection();
  if (!opened) {
    exchange_.attempt().give_up();
    to.forgive();
    co_return opened.error();
  }
  const Result<Downstream::Arrived> arrived = client.body_arrived();
  holds_body_ = !client.request_received() && (!arrived || !arrived->whole);
  co_return co_await exchange_.forward_to_home();
}

/// The failures of one try, from the one that says most about the request to the one that says nothing. A request that no pod
/// has seen waits for a home that takes it, and is told only that its time was over: what this router could not do with another
/// router says nothing about a pod.
/// A home that sends a request back after its 199 had returned it to the queue: its pod has not seen it, either.
Task<SendOn::Next> SendOn::what_follows(Failure& failure) {
  place_.give_up();
  const bool unreachable = failure.reason == Reason::kUpstreamConnectFailed && !replied_;
  const bool unknown = failure.reason == Reason::kDeploymentNotFound && replied_;
  const bool moved = failure.reason == Reason::kHomeMoved && replied_;
  const bool unseen = exchange_.attempt().state() == Attempt::State::kSending;  // see `forward_to_home`
  if (!(unreachable || unknown || moved || unseen)) co_return Next::kDone;
  unknown_ = unknown;
  if (unseen) exchange_.attempt().start_over();
  co_await end_attempt();
  if (!exchange_.downstream().rewind_request()) {
    exchange_.home_said_.reset();
    failure = Failure::internal(Reason::kUpstreamReset, "the home gave the request back when a part of its body was sent");
    co_return Next::kDone;
  }
  begun_at_pod_ = false;
  exchange_.record_.replica.clear();
  if (unseen) last_.cause = "the home of the namespace was lost, and no other took its place within max_queue_wait_ms";
  if (unreachable) last_.cause = "the home of the namespace could not be reached within max_queue_wait_ms";
  if (unknown) last_.cause = "the home of the namespace did not know the deployment within max_queue_wait_ms";
  co_return moved || unseen ? Next::kAgain : Next::kAfterPause;
}

/// The connection of a refused request may have to close first.
Task<void> SendOn::end_attempt() {
  Attempt& attempt = exchange_.attempt();
  attempt.give_up();
  for (;;) {
    const stream::Progress closing = attempt.settle();
    if (closing == stream::Progress::kEnded) co_return;
    const TimePoint now = exchange_.wakeup().shard().now();
    if (closing == stream::Progress::kBlocked) attempt.arm();
    co_await exchange_.wakeup().wait(closing == stream::Progress::kMoved ? now : attempt.settles_by());
  }
}

Task<Result<void>> SendOn::pause(Duration time) {
  runtime::Wakeup& wakeup = exchange_.wakeup();
  Downstream& client = exchange_.downstream();
  const TimePoint until = wakeup.shard().now() + time;
  for (;;) {
    if (const Result<void> allowed = client.may_take_slot(); !allowed) co_return allowed.error();
    if (const Result<void> wanted = client.still_wanted(); !wanted) co_return wanted.error();
    const TimePoint now = wakeup.shard().now();
    if (now >= deadline_) co_return last_;
    if (now >= until) co_return boost::system::in_place_value;
    const Deadline next = std::min(std::min(until, deadline_), client.ask_again(now));
    co_await wakeup.wait(next);
    exchange_.record_.waited += wakeup.shard().now() - now;
  }
}

Failure SendOn::replied(const HomeReply& reply) {
  replied_ = true;
  named_ = find_member(reply.home);
  exchange_.home_said_ = std::make_unique<HomeSaid>(reply.reason, std::string(reply.message), reply.retry_after);
  return Failure::internal(reply.reason, "the home of the namespace refused the request");
}

/// The home waits for a slot, perhaps for a newer configuration, and for a connection to the pod, two of them at most. It may
/// know that no replica is ready before this router does, and hold the request.
Deadline SendOn::answers_by() const {
  const model::Deployment& deployment = *exchange_.route().deployment;
  return deadline_after(std::max(deadline_, held_until_), 2 * deployment.connect_timeout + deployment.abort_wait + kSlack);
}

Deadline SendOn::last_word_by() {
  if (peer() != nullptr) return kNever;
  if (lost_ == TimePoint{}) lost_ = exchange_.wakeup().shard().now();
  return deadline_after(lost_, kLastWord);
}

void SendOn::watch_view() {
  if (!begun_at_pod_) exchange_.server().wait_for_next_view(arrival_);
}

SentOnFields SendOn::fields() const {
  const upstream::Peer* to = view_->peers != nullptr ? view_->peers->at(at_) : nullptr;
  return {to != nullptr ? std::string_view(to->member()) : std::string_view(),
          exchange_.time_in_queue_ + (exchange_.wakeup().shard().now() - arrived_),
          view_->peers != nullptr ? view_->peers->epoch : 0};
}

}  // namespace router::proxy
