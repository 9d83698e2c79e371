#include <algorithm>
#include <chrono>
#include <exception>
#include <string>

#include "router/base/log.h"
#include "router/base/text.h"
#include "router/proxy/exchange.h"
#include "router/proxy/fleet_head.h"
#include "router/proxy/heads.h"
#include "router/proxy/local_reply.h"
#include "router/proxy/relay.h"
#include "router/proxy/send_on.h"
#include "router/proxy/server.h"

/// The steps of an exchange that concern other routers of the fleet (docs/decisions/0072-requests-sent-on.md).
namespace router::proxy {

// --- the client is here, the home is another router
// ---------------------------------------------------------------------------

Task<Result<void>> Exchange::reach_home(bool moved) {
  if (member_ != nullptr) {
    co_return Failure::internal(Reason::kHomeMoved, "another router is home of the namespace");
  }
  Result<void> sent = boost::system::in_place_value;
  {
    SendOn send_on(*this);
    sent = co_await send_on.run(moved);
  }
  const bool here = !sent && sent.error().reason == Reason::kHomeMoved;
  server_.count_sent_on(sent   ? metrics::SentOnResult::kAnswered
                        : here ? metrics::SentOnResult::kHere
                               : metrics::SentOnResult::kFailed);
  co_return sent;
}

Result<void> Exchange::come_home() {
  arrival_ = wakeup_.shard().now() - time_in_queue_;
  if (view_->generation == server_.view()->generation) return {};
  view_ = server_.view();
  return admit();
}

namespace {

/// A connection to the home that broke says nothing about a pod. The reason is the one of a pod that broke its connection.
Failure home_lost(bool begun_at_pod, bool answering, int system_error) {
  const char* cause = answering      ? "the pod broke its answer off, or the home of the namespace was lost"
                      : begun_at_pod ? "the home of the namespace was lost while its pod worked on the request"
                                     : "the home of the namespace was lost, and a pod may have seen the request";
  return Failure::internal(Reason::kUpstreamReset, cause, system_error);
}

}  // namespace

Task<Result<void>> Exchange::forward_to_home() {
  prepare_mirror_copy();
  upstream::UpstreamExchange& upstream = attempt_.begin_sending();
  downstream_.keep_request();
  const SentOnFields fields = send_on_->fields();
  RequestAdditions added = additions();
  added.to_home = &fields;
  write_request_head(upstream, downstream_, route_, added);

  Relay relay(*this);
  const Result<void> relayed = co_await relay.run();
  if (relayed || attempt_.over()) co_return relayed;
  Failure failure = relayed.error();
  if (failure.reason == Reason::kUpstreamReset) {
    const bool again = !send_on_->begun_at_pod() && upstream.ended_unseen() != upstream::Unseen::kNo;
    failure = home_lost(send_on_->begun_at_pod(), attempt_.state() == Attempt::State::kAnswering, failure.system_error);
    if (again) co_return failure;  // in the state kSending
  }
  if (failure.reason == Reason::kClientClosed) {
    downstream_.leave(stream::Leaving::kReset);
    ended_ = wakeup_.shard().read_clock();
  }
  attempt_.give_up();  // the home sees its client leave
  co_return failure;
}

// --- the client is another router, and this one is home
// -----------------------------------------------------------------------

Task<void> run_sent_on(ShardServer& server, MemberDownstream& downstream, runtime::Wakeup& wakeup) {
  downstream.begin_exchange();
  Exchange exchange(server, downstream, wakeup, &downstream);
  Result<void> answered = boost::system::in_place_value;
  try {
    answered = co_await exchange.answer();
  } catch (const std::exception& error) {
    answered = failure_of(error);
  }
  if (!answered) exchange.refuse(answered.error());
  const Settled settled =
      co_await settle(downstream, exchange.attempt(), wakeup, exchange.limits().send_timeout, exchange.ended());
  exchange.report(settled);
}

Result<void> Exchange::admit_sent_on() {
  route_ = {};
  const http::RequestHead& head = downstream_.head();
  const Result<SentOnHead> asked = read_sent_on(head, record_.begun);
  if (!asked) return asked.error();
  const auto found = view_->table.by_name.find(lower_case(asked->endpoint));
  if (found != view_->table.by_name.end() && found->second->namespace_name == asked->namespace_name) {
    for (const auto& deployment : found->second->deployments) {
      if (!equals_ignoring_case(deployment->name, asked->deployment)) continue;
      record_.endpoint = route_.endpoint = endpoint_ = found->second;
      record_.deployment = route_.deployment = deployment.get();
    }
  }
  if (route_.deployment == nullptr) {
    return Failure::downstream(Reason::kDeploymentNotFound, "the home does not know the deployment");
  }
  // A restarted router has the address of the one before it. A request that waits here under the other's name would be given up
  // when the sender learns that the other one is gone.
  if (view_->peers != nullptr && asked->to != view_->peers->self) {
    return Failure::internal(Reason::kHomeMoved, "the request is for another router, which had this address");
  }
  patience_ = asked->patience;
  is_copy_ = asked->is_copy;
  if (arrival_ == TimePoint{}) came_with_age(asked->age);
  return {};
}

Result<void> Exchange::announce() {
  member_->announce(attempt_.replica().name(), time_in_queue_);
  return member_->flush();
}

Task<Result<void>> Exchange::wait_until_announced() {
  const Deadline deadline = patience_.until(wakeup_.shard().now(), route_.deployment->request_timeout);
  while (member_->blocked()) {
    if (const Result<void> wanted = member_->still_wanted(); !wanted) co_return wanted.error();
    const TimePoint now = wakeup_.shard().now();
    if (now >= deadline) co_return Failure::downstream(Reason::kClientTimeout, "the other router takes no answer");
    member_->arm_write();
    co_await wakeup_.wait(std::min(deadline, member_->ask_again(now)));
    if (const Result<void> sent = member_->flush(); !sent) co_return sent.error();
  }
  co_return boost::system::in_place_value;
}

/// A local reply for the other router, which makes its own of it. It has no body.
void Exchange::refuse_sent_on(const Failure& failure) {
  const bool moved = failure.reason == Reason::kHomeMoved || failure.reason == Reason::kDraining;
  const int status = moved ? 421 : status_of(failure.reason, config::StatusProfile::kKubernetes);
  std::string message = failure.cause;
  if (const model::Deployment* deployment = route_.deployment; deployment != nullptr) {
    const std::shared_ptr<const std::string> trouble =
        failure.reason == Reason::kNoReadyReplica ? deployment->queue->trouble() : nullptr;
    if (trouble != nullptr) message.append(": ").append(*trouble);
  }
  downstream_.drop_request();
  downstream_.begin_head(status, "Refused");
  downstream_.field(fleet_field::kReason, moved ? "home_moved" : name_of(failure.reason));
  downstream_.field(fleet_field::kMessage, plain_text(message));
  if (moved && view_->peers != nullptr && route_.deployment != nullptr && route_.deployment->home != nullptr) {
    const std::int32_t where = route_.deployment->home->where();
    const upstream::Peer* home = view_->peers->at(where);
    if (home != nullptr) downstream_.field(fleet_field::kHome, home->member());
    const bool here = where == dispatch::NamespaceHome::kHere && failure.reason == Reason::kHomeMoved;
    if (here) downstream_.field(fleet_field::kHome, view_->peers->self);
  }
  if (asks_to_retry(failure.reason) && route_.deployment != nullptr) {
    const std::chrono::seconds again = retry_after(*route_.deployment->queue, failure.reason);
    downstream_.field("Retry-After", std::to_string(again.count()));
    note_refusal(failure.reason, again);
  }
  downstream_.end_head({stream::BodySize::Kind::kLength, 0});
  downstream_.body_end(nullptr);
}

}  // namespace router::proxy
