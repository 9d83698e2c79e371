#pragma once

#include "router/base/task.h"
#include "router/proxy/attempt.h"
#include "router/proxy/downstream.h"
#include "router/proxy/fleet_head.h"
#include "router/proxy/minimum_rate.h"
#include "router/proxy/record.h"
#include "router/proxy/upload_time.h"
#include "router/runtime/wakeup.h"
#include "router/upstream/exchange.h"

namespace router::proxy {

class Exchange;
class SendOn;

/// Moves the request's body to the pod and the answer to the client until both are complete, each piece as it arrives. There is
/// back-pressure: nothing is read from a side while the other side takes nothing. One coroutine with two pumps: each moves what
/// can be moved now, then the relay sleeps until a socket or a deadline wakes it.
class Relay {
 public:
  /// The attempt of `exchange` has begun to send: its head is buffered.
  explicit Relay(Exchange& exchange);

  /// Suspends. On success the answer was received and, with the exception under `done`, handed to the kernel. The
  /// attempt is over then: an answer that a slow client still reads holds no slot.
  Task<Result<void>> run();

 private:
  Result<void> pump_request();
  /// Moves one piece of the request's body into the buffer for the pod, if the pod takes one and the client has sent one.
  /// `pieces` were moved before it in this turn of the event loop.
  Result<stream::Progress> take_piece(int pieces);
  Result<void> pump_response();
  Result<void> begin_response();
  /// The request is sent on, and `head` came from the home. True: it was the home's own interim answer. Fails if it is a local
  /// reply of the home.
  Result<bool> hear_home(const http::ResponseHead& head);
  Result<void> begins_at_pod(const BeginsAtPod& said);
  Failure home_replied(const HomeReply& reply);
  Failure broken_off(const Failure& failure) const;
  /// When to read from the pod again after a pause; kNever without a pause.
  Deadline interims_go_on(TimePoint now) const { return now < interims_from_ ? interims_from_ : kNever; }
  /// Passes an interim (1xx) response on: the first 8 of a request, up to 16 KB; further ones are dropped. Returns false if it
  /// must be passed on and the client can take nothing now.
  bool pass_interim(const http::ResponseHead& head);
  /// Whether more of the request can be read from the client and sent to the pod.
  bool wants_request() const;
  Result<stream::Progress> read_request();
  Result<void> watch_client();
  void arm();
  /// Whether the relay is finished. If the answer ended before the request, `settle` handles the rest of both at the same time:
  /// a client that reads only after it has sent everything would otherwise wait for ever.
  bool done() const { return attempt_.over() && !(downstream_.blocked() && downstream_.request_received()); }
  void note_request_sent();

  /// The earliest deadline, and the failure when it passes.
  struct Limit {
    Deadline deadline = kNever;
    Failure failure{};
    void sooner(Deadline other, const Failure& meaning) {
      if (other < deadline) *this = {other, meaning};
    }
  };
  Limit limit(TimePoint now) const;
  /// While the request waits at the home.
  Limit limit_at_home() const;
  /// Updates the minimum rates with the client's progress.
  void note_progress();
  /// The relay has slept for `time`: counts it for each direction of the client for which it waited.
  void note_wait(Duration time);

  bool answering() const { return attempt_.state() >= Attempt::State::kAnswering; }

  Exchange& exchange_;
  Downstream& downstream_;
  Attempt& attempt_;
  upstream::UpstreamExchange& upstream_;
  const model::Deployment& deployment_;
  const config::Limits& limits_;
  runtime::Wakeup& wakeup_;
  Record& record_;
  SendOn* const send_on_;    // nullptr: the attempt is at a pod
  const Duration for_home_;  // after a timeout of the pod, the time for the home to say so itself

  MinimumRate sends_;            // the client, its body
  MinimumRate reads_;            // the client, its answer
  UploadTime upload_;            // the client, its whole body
  TimePoint request_moved_{};    // progress of the upload
  TimePoint response_moved_{};   // progress of the answer
  bool request_broken_ = false;  // the pod accepts no more of the request; it may still answer
  bool interim_waits_ = false;   // an interim response waits for a blocked client: the pod is not read
  int interim_heads_ = 0;        // passed on
  std::size_t interim_bytes_ = 0;
  TimePoint interims_from_{};  // after too many at once, the pod is not read until then
  bool body_waits_ = false;    // until the home has begun at a pod
  bool again_ = false;         // stopped early for other exchanges: more can be moved at once
};

}  // namespace router::proxy
