#include "router/proxy/relay.h"

#include <algorithm>
#include <utility>

#include "router/proxy/exchange.h"
#include "router/proxy/heads.h"
#include "router/proxy/send_on.h"
#include "router/proxy/shedding.h"
#include "router/upstream/replica.h"

namespace router::proxy {
namespace {

using stream::Progress;

constexpr int kPiecesPerTurn = 4;    // of at most 256 KB; then other exchanges of the shard run
constexpr int kInterimHeadsMax = 8;  // interim heads passed on per request
constexpr std::size_t kInterimBytesMax = 16 * 1024;
constexpr int kInterimHeadsPerTurn = 32;  // read from the pod at once, passed on or not; then a pause
constexpr std::size_t kInterimBytesPerTurn = 64 * 1024;
constexpr std::chrono::milliseconds kInterimPause{1};
constexpr std::chrono::milliseconds kForHome{250};
constexpr const char* kSilentPod = "the pod sent nothing for stream_idle_timeout_ms";

std::size_t bytes_of(const http::ResponseHead& head) {
  std::size_t bytes = sizeof "HTTP/1.1 103 \r\n\r\n" + head.reason_phrase.size();
  for (const http::FieldLine& line : head.fields) bytes += line.name.size() + line.value.size() + sizeof ": \r";
  return bytes;
}

}  // namespace

Relay::Relay(Exchange& exchange)
    : exchange_(exchange),
      downstream_(exchange.downstream()),
      attempt_(exchange.attempt()),
      upstream_(attempt_.upstream()),
      deployment_(*exchange.route().deployment),
      limits_(exchange.limits()),
      wakeup_(exchange.wakeup()),
      record_(exchange.record()),
      send_on_(exchange.send_on()),
      for_home_(send_on_ == nullptr ? Duration{} : kForHome),
      sends_(limits_.min_body_rate, limits_.body_timeout),
      reads_(limits_.min_send_rate, limits_.send_timeout),
      upload_(deployment_.upload_timeout, downstream_.request_size().length),
      body_waits_(send_on_ != nullptr && send_on_->holds_body()) {}

Task<Result<void>> Relay::run() {
  runtime::Shard& shard = wakeup_.shard();
  request_moved_ = response_moved_ = shard.now();
  for (;;) {
    again_ = false;
    if (const Result<void> up = pump_request(); !up) co_return up.error();
    if (const Result<void> down = pump_response(); !down) co_return down.error();
    if (attempt_.settle() == Progress::kMoved) again_ = true;  // a slow client does not delay giving the slot back
    if (done()) co_return boost::system::in_place_value;
    if (const Result<void> client = watch_client(); !client) co_return client.error();
    const TimePoint asleep = shard.now();
    note_progress();
    const Limit next = limit(asleep);
    if (next.deadline <= asleep) co_return next.failure;
    arm();
    const Deadline look_again = std::min({downstream_.ask_again(asleep), attempt_.settles_by(), interims_go_on(asleep)});
    co_await wakeup_.wait(again_ ? asleep : std::min(next.deadline, look_again));
    const Duration slept = shard.now() - asleep;
    record_.waited += slept;
    note_wait(slept);
  }
}

Result<void> Relay::pump_request() {
  if (attempt_.over() || request_broken_ || upstream_.request_sent()) return {};
  for (int pieces = 0;; ++pieces) {
    // A piece that has arrived is sent in one write with the bytes buffered before it: at first, the head.
    const Result<Progress> moved = take_piece(pieces);
    if (!moved) return moved.error();
    if (const Result<void> sent = upstream_.flush(); !sent) {
      request_broken_ = true;  // the pod may have answered before it closed: pump_response finds out
      return {};
    }
    if (upstream_.blocked()) return {};
    if (downstream_.request_received()) break;
    if (*moved != Progress::kMoved) return {};
  }
  note_request_sent();
  return {};
}

Result<Progress> Relay::take_piece(int pieces) {
  if (upstream_.blocked() || downstream_.request_received()) return Progress::kMoved;
  if (body_waits_) return Progress::kBlocked;
  if (pieces == kPiecesPerTurn) {
    again_ = true;
    return Progress::kBlocked;
  }
  const Result<Progress> moved = read_request();
  if (!moved || *moved == Progress::kBlocked) return moved;
  request_moved_ = wakeup_.shard().now();
  if (downstream_.request_bytes() > deployment_.request_bytes_max) {
    return Failure::downstream(Reason::kPayloadTooLarge, "the body is larger than max_request_bytes");
  }
  return moved;
}

Result<Progress> Relay::read_request() {
  if (exchange_.mirror_copy() == nullptr) return downstream_.read_body(upstream_);
  Tee both(upstream_, *exchange_.mirror_copy());
  return downstream_.read_body(both);
}

void Relay::note_request_sent() {
  if (attempt_.sent() != TimePoint{} || !upstream_.request_sent()) return;
  request_moved_ = wakeup_.shard().read_clock();
  attempt_.note_sent(request_moved_);
  record_.sent = request_moved_;
  std::unique_ptr<MirrorCopy>& copy = exchange_.mirror_copy();
  if (copy != nullptr && copy->complete()) MirrorCopy::send(std::move(copy));
}

bool Relay::pass_interim(const http::ResponseHead& head) {
  if (head.status == 100) return true;  // the router sends its own 100 (Continue)
  const std::size_t bytes = bytes_of(head);
  if (interim_heads_ == kInterimHeadsMax || interim_bytes_ + bytes > kInterimBytesMax) return true;
  if (downstream_.blocked()) return false;
  downstream_.interim(head);
  ++interim_heads_;
  interim_bytes_ += bytes;
  response_moved_ = wakeup_.shard().now();
  return true;
}

Result<void> Relay::begin_response() {
  interim_waits_ = false;
  const TimePoint now = wakeup_.shard().now();
  if (now < interims_from_) return {};
  std::size_t bytes = 0;
  for (int heads = 0;; ++heads) {
    const Result<const http::ResponseHead*> head = upstream_.response_head();
    if (!head) return head.error();
    if (*head == nullptr) return {};
    if (send_on_ != nullptr) {
      const Result<bool> of_home = hear_home(**head);
      if (!of_home) return of_home.error();
      if (*of_home) {
        upstream_.skip_interim();
        continue;
      }
    }
    if ((*head)->status >= 200) break;
    if (heads == kInterimHeadsPerTurn || bytes >= kInterimBytesPerTurn) {
      interims_from_ = now + kInterimPause;
      return {};
    }
    bytes += bytes_of(**head);
    if (!pass_interim(**head)) {
      interim_waits_ = true;
      return {};
    }
    upstream_.skip_interim();
  }
  const http::ResponseHead& head = **upstream_.response_head();
  response_moved_ = now;
  attempt_.begin_answering(sheds_until(head, now));
  if (exchange_.view().per_replica && send_on_ == nullptr && attempt_.sent() != TimePoint{}) {
    attempt_.replica().answered(wakeup_.shard().index(), now - attempt_.sent());
  }
  record_.answered = now;
  record_.model_status = head.status;
  if (exchange_.member() != nullptr) {
    pass_response_head(downstream_, head, upstream_.response_size());
    record_.status = head.status;
    return {};
  }
  const int status = write_response_head(downstream_, head, upstream_.response_size(), exchange_.route(), exchange_.ids());
  record_.status = status;
  if (status != head.status) record_.reason = Reason::kModelError;
  return {};
}

Result<bool> Relay::hear_home(const http::ResponseHead& head) {
  if (const std::optional<BeginsAtPod> said = read_begins_at_pod(head)) {
    if (const Result<void> begun = begins_at_pod(*said); !begun) return begun.error();
    return true;
  }
  if (const std::optional<HomeReply> reply = read_home_reply(head)) return home_replied(*reply);
  if (send_on_->begun_at_pod()) return false;
  return Failure::internal(Reason::kUpstreamInvalidResponse,
                           "the home of the namespace passed an answer on that it had not announced");
}

Result<void> Relay::begins_at_pod(const BeginsAtPod& said) {
  const TimePoint now = wakeup_.shard().now();
  send_on_->begins_at_pod();
  record_.replica = said.replica;
  record_.left_queue = now;
  record_.in_queue = std::min(said.queued, now - record_.begun);
  request_moved_ = response_moved_ = now;
  if (attempt_.sent() != TimePoint{}) {  // to the home; the pod has it only now
    attempt_.note_sent(now);
    record_.sent = now;
  }
  if (!std::exchange(body_waits_, false)) return {};
  again_ = true;
  return http::expects_continue(downstream_.head()) ? exchange_.send_continue() : Result<void>();
}

/// Nothing of it goes to the client. The connection may be used again if the reply is complete; it has no body.
Failure Relay::home_replied(const HomeReply& reply) {
  struct Nowhere final : stream::BodySink {
    void body_piece(std::string_view) override {}
    void body_end(const http::Fields*) override {}
  } nowhere;
  const Failure failure = send_on_->replied(reply);
  const Result<Progress> rest = upstream_.read_body(nowhere);
  rest&&* rest == Progress::kEnded ? attempt_.succeed() : attempt_.give_up();
  return failure;
}

Result<void> Relay::pump_response() {
  if (!answering()) {
    if (const Result<void> head = begin_response(); !head) return head;
  }
  for (int pieces = 0; answering() && !attempt_.over() && !downstream_.blocked(); ++pieces) {
    if (pieces == kPiecesPerTurn) {
      again_ = true;
      break;
    }
    const Result<Progress> moved = upstream_.read_body(downstream_);
    if (const Result<void> sent = downstream_.flush(); !sent) return sent;
    if (!moved) return broken_off(moved.error());
    if (*moved == Progress::kBlocked) break;
    response_moved_ = wakeup_.shard().now();
    if (*moved == Progress::kEnded) {
      attempt_.succeed();
      break;
    }
    if (*moved == Progress::kDrained) break;
  }
  const bool was_blocked = downstream_.blocked();
  if (const Result<void> sent = downstream_.flush(); !sent) return sent;
  if (was_blocked && !downstream_.blocked()) {
    response_moved_ = wakeup_.shard().now();
    again_ = !attempt_.over();
  }
  return {};
}

/// After the head of an answer, a home can only cut it. As long as the home lives, no answer is silent for longer than
/// stream_idle_timeout_ms, so an end after that time is the one that this limit makes. Bytes and end do not take the same time
/// from the home to here.
Failure Relay::broken_off(const Failure& failure) const {
  const Duration limit = deployment_.stream_idle_timeout;
  const bool silent = wakeup_.shard().now() - response_moved_ >= limit - std::min(for_home_, limit / 4);
  if (send_on_ == nullptr || failure.reason != Reason::kUpstreamReset || !silent) return failure;
  return Failure::upstream(Reason::kUpstreamTimeout, kSilentPod);
}

bool Relay::wants_request() const {
  return !attempt_.over() && !request_broken_ && !body_waits_ && !downstream_.request_received() && !upstream_.blocked();
}

Result<void> Relay::watch_client() {
  if (attempt_.cut()) return uncovered();
  return wants_request() ? downstream_.within_grace() : downstream_.still_wanted();
}

void Relay::arm() {
  if (send_on_ != nullptr) send_on_->watch_view();
  if (!attempt_.settled()) {
    // Bytes that the client cannot take are not read from the pod. An armed read would then wake the relay again and again.
    const bool holds_back = interim_waits_ || wakeup_.shard().now() < interims_from_;
    const bool reads = answering() ? attempt_.over() || !downstream_.blocked() : !holds_back;
    if (reads) upstream_.arm_read();
    if (upstream_.blocked()) upstream_.arm_write();
  }
  if (wants_request()) downstream_.arm_read();
  if (downstream_.blocked()) downstream_.arm_write();
}

void Relay::note_progress() {
  sends_.moved(downstream_.request_bytes());
  if (downstream_.blocked()) reads_.moved(downstream_.bytes_taken());
}

void Relay::note_wait(Duration time) {
  if (downstream_.blocked()) reads_.waited(time);
  if (!wants_request()) return;
  sends_.waited(time);
  upload_.waited(time);
}

Relay::Limit Relay::limit_at_home() const {
  Limit next;
  next.sooner(send_on_->last_word_by(), Failure::upstream(Reason::kUpstreamReset, "the fleet gave the home up"));
  next.sooner(
      deadline_after(exchange_.patience().deadline, for_home_),
      Failure::downstream(Reason::kUpstreamTimeout, "no answer from the home within the client's x-request-deadline-ms"));
  next.sooner(send_on_->answers_by(),
              Failure::internal(Reason::kUpstreamTimeout, "no answer from the home of the namespace within max_queue_wait_ms"));
  return next;
}

Relay::Limit Relay::limit(TimePoint now) const {
  if (send_on_ != nullptr && !send_on_->begun_at_pod()) return limit_at_home();
  Limit next;
  if (wants_request()) {
    next.sooner(deadline_after(now, sends_.left()),
                Failure::downstream(Reason::kClientTimeout, "the body arrives more slowly than min_body_rate"));
  }
  if (downstream_.blocked()) {
    next.sooner(response_moved_ + limits_.send_timeout,
                Failure::downstream(Reason::kClientTimeout, "the client does not read the answer"));
    next.sooner(deadline_after(now, reads_.left()),
                Failure::downstream(Reason::kClientTimeout, "the client reads the answer more slowly than min_send_rate"));
  } else if (answering() && !attempt_.over()) {
    next.sooner(response_moved_ + deployment_.stream_idle_timeout + for_home_,
                Failure::upstream(Reason::kUpstreamTimeout, kSilentPod));
  }
  if (answering()) return next;
  if (wants_request()) {
    next.sooner(deadline_after(now, upload_.left()),
                Failure::downstream(Reason::kClientTimeout, "the body did not arrive within upload_timeout_ms"));
    if (exchange_.owes_first_byte()) {
      next.sooner(deadline_after(now, upload_.left_for_first_byte()),
                  Failure::downstream(Reason::kClientTimeout, "no body arrived within 1 s after the 100 (Continue)"));
    }
  }
  const Failure slow_pod =
      interim_waits_ ? Failure::downstream(Reason::kClientTimeout, "the client does not read the interim responses")
                     : Failure::upstream(Reason::kUpstreamTimeout, "no answer from the pod within request_timeout_ms");
  next.sooner(
      exchange_.patience().deadline,
      Failure::downstream(Reason::kUpstreamTimeout, "no answer from the pod within the client's x-request-deadline-ms"));
  if (attempt_.sent() != TimePoint{}) {
    next.sooner(deadline_after(attempt_.sent(), deployment_.request_timeout + for_home_), slow_pod);
  } else if (upstream_.blocked() || request_broken_) {
    next.sooner(deadline_after(request_moved_, deployment_.request_timeout + for_home_), slow_pod);
  } else {
    next.sooner(request_moved_ + limits_.body_timeout,
                Failure::downstream(Reason::kClientTimeout, "the body arrives too slowly"));
  }
  return next;
}

}  // namespace router::proxy
