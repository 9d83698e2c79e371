#pragma once

#include "router/base/task.h"
#include "router/proxy/downstream.h"
#include "router/proxy/minimum_rate.h"
#include "router/proxy/mirror.h"
#include "router/proxy/patience.h"
#include "router/proxy/record.h"
#include "router/proxy/upload_time.h"
#include "router/proxy/upstream_close.h"
#include "router/runtime/wakeup.h"
#include "router/upstream/exchange.h"

namespace router::proxy {

/// Moves the request's body up and the answer down until both are through, each piece as it arrives, with back-pressure:
/// nothing is read from a side while the other one takes nothing. One coroutine, two pumps: each moves what can be moved now,
/// then the relay sleeps until a socket or a deadline wakes it.
class Relay {
 public:
  Relay(Downstream& downstream, upstream::UpstreamExchange& upstream, std::unique_ptr<MirrorCopy>& copy,
        const model::Route& route, const RequestIds& ids, Patience patience, const config::Limits& limits,
        runtime::Wakeup& wakeup, Record& record, UpstreamClose& upstream_close);

  /// Suspends. On success the answer was received and handed to the kernel, but for what `done` says. `upstream_close` knows
  /// how far the upstream exchange has come: an answer that a slow client still reads holds no slot.
  Task<Result<void>> run();

 private:
  Result<void> pump_request();
  /// Gathers one piece of the request's body, if the pod takes one and the client has sent one. `pieces` were taken before it
  /// in this turn.
  Result<wire::Progress> take_piece(int pieces);
  Result<void> pump_response();
  Result<void> begin_response();
  /// When to look at the pod again after a pause; kNever without one.
  Deadline interims_go_on(TimePoint now) const { return now < interims_from_ ? interims_from_ : kNever; }
  /// Passes an interim (1xx) response on, the first 8 and 16 KB of a request; more are dropped. False: it is one of those, and
  /// has to wait for the client, who takes nothing now.
  bool pass_interim(const http::ResponseHead& head);
  void end_response();
  /// More of the request can be taken from the client and passed on.
  bool wants_request() const;
  Result<wire::Progress> read_request();
  Result<void> watch_client();
  void arm();
  /// After an answer that came before the request's end, what is left of both is settled at once: a client that sends all
  /// before it reads would never read.
  bool done() const { return received_ && !(downstream_.blocked() && downstream_.request_received()); }
  void note_request_sent();

  /// The deadline that comes first, and what its passing means.
  struct Limit {
    Deadline deadline = kNever;
    Failure failure{};
    void sooner(Deadline other, const Failure& meaning) {
      if (other < deadline) *this = {other, meaning};
    }
  };
  Limit limit(TimePoint now) const;
  /// Tells how far the client has come with its body and with the answer.
  void note_progress();
  /// The relay has slept for so long: who of the client's two directions kept it waiting?
  void note_wait(Duration time);

  Downstream& downstream_;
  upstream::UpstreamExchange& upstream_;
  std::unique_ptr<MirrorCopy>& copy_;  // collects the body beside the pod; nullptr: nobody does
  const model::Route& route_;
  const model::Deployment& deployment_;
  const RequestIds& ids_;
  const Patience patience_;
  const config::Limits& limits_;
  runtime::Wakeup& wakeup_;
  Record& record_;
  UpstreamClose& upstream_close_;

  MinimumRate sends_;            // the client, its body
  MinimumRate reads_;            // the client, its answer
  UploadTime upload_;            // the client, its body, all in all
  TimePoint request_moved_{};    // progress of the upload
  TimePoint response_moved_{};   // progress of the answer
  bool request_broken_ = false;  // the pod takes no more of the request; it may still answer
  bool begun_ = false;           // the answer's head was written
  bool received_ = false;        // the answer's last byte has arrived
  bool interim_waits_ = false;   // for a client that is blocked: nothing is read from the pod meanwhile
  int interim_heads_ = 0;        // passed on,
  std::size_t interim_bytes_ = 0;
  TimePoint interims_from_{};  // after many at once nothing is read from the pod until then
  bool again_ = false;         // stopped for the others' sake: there is more to move at once
};

}  // namespace router::proxy
