#pragma once

#include <cstdint>
#include <string>

#include "router/base/result.h"
#include "router/base/task.h"
#include "router/proxy/fleet_head.h"
#include "router/proxy/view.h"
#include "router/upstream/peers.h"

namespace router::proxy {

class Exchange;

/// A request of this router's client that is served by another router, the home of its namespace. The peer is used like a
/// replica without limit: one try at it is an attempt. This object is what the exchange and its relay know besides. See
/// docs/decisions/0072-requests-sent-on.md. Lives in the frame of `send_on`. One shard.
class SendOn {
 public:
  explicit SendOn(Exchange& exchange);
  SendOn(const SendOn&) = delete;
  SendOn& operator=(const SendOn&) = delete;
  ~SendOn();

  /// Suspends until the request is answered, or fails; kHomeMoved: this process is home now, and nothing has been answered.
  /// `moved`: this process was home until just now.
  Task<Result<void>> run(bool moved);

  // --- for the relay ---
  /// A slot is held for the request: its pod may see it from now on.
  bool begun_at_pod() const { return begun_at_pod_; }
  /// The body is not read before that. Then all of it can be sent again until then.
  bool holds_body() const { return holds_body_ && !begun_at_pod_; }
  void begins_at_pod() {
    begun_at_pod_ = true;
    place_.give_up();
  }
  /// The local reply of the home: returns the failure that it means for the client.
  Failure replied(const HomeReply& reply);
  /// When the home must have answered.
  Deadline answers_by() const;
  /// Until when the connection may still say what became of the request, after the fleet has given the home up: another process
  /// may be at its other end by now, which answers 421. kNever: the home was not given up.
  Deadline last_word_by();
  /// Wakes the exchange when a newer view has arrived, which may have given the home up.
  void watch_view();
  SentOnFields fields() const;

 private:
  enum class Next : std::uint8_t { kDone, kAgain, kAfterPause };

  /// Sends the request to the peer `at_`.
  Task<Result<void>> send();
  /// What a failure of `send` means for the request; ends the attempt if the request is to be sent again. Suspends.
  Task<Next> what_follows(Failure& failure);
  Task<void> end_attempt();
  /// Waits at most `time`. Fails when the request is no longer wanted, or its time in the queue is over.
  Task<Result<void>> pause(Duration time);
  /// kHere, kNobody, or the peer to ask.
  std::int32_t look() const;
  std::int32_t find_member(std::string_view id) const;
  upstream::Peer* peer() const;

  Exchange& exchange_;
  const TimePoint arrived_;
  const Deadline held_until_;  // if the home holds it for a first replica; the earliest time: it does not
  const bool wakes_;           // as far as this router knows, it does
  const Deadline deadline_;    // of the time in the queue
  Views::Snapshot view_;       // keeps the peer
  Views::Arrival arrival_;
  std::int32_t at_;
  TimePoint lost_{};      // when the home was given up; zero: it was not
  std::int32_t named_;    // by the last 421, and known as a peer
  bool replied_ = false;  // the last try ended with a local reply of the home
  upstream::Peer::Place place_;
  bool unknown_ = false;  // the home did not know the deployment
  bool begun_at_pod_ = false;
  bool holds_body_ = false;
  int tries_ = 0;
  Failure last_;  // queue_timeout, and why the request has not been served yet
};

}  // namespace router::proxy
