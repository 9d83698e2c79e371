#include "router/proxy/settle.h"

#include <algorithm>
#include <chrono>

namespace router::proxy {
namespace {

using runtime::Wakeup;

constexpr std::chrono::seconds kDropFor{2};  // for the rest of a request body that is not used

/// The deadline of a client that has neither read its whole answer nor sent its whole body. It must make progress in one of the
/// two directions within kDropFor; otherwise its connection is reset.
class Standstill {
 public:
  Deadline deadline(const Downstream& downstream, TimePoint now) {
    const std::uint64_t moved = downstream.bytes_taken() + downstream.request_bytes();
    if (since_ == TimePoint{} || moved != moved_) since_ = now;
    moved_ = moved;
    return deadline_after(since_, kDropFor);
  }

 private:
  std::uint64_t moved_ = 0;
  TimePoint since_{};
};

}  // namespace

Task<Settled> settle(Downstream& downstream, Attempt& attempt, Wakeup& wakeup, Duration send_timeout, TimePoint ended) {
  using stream::Progress;
  runtime::Shard& shard = wakeup.shard();
  Settled result;
  result.ended = ended;
  attempt.give_up();
  const Deadline sent_by = deadline_after(shard.now(), send_timeout);
  Standstill standstill;
  for (;;) {
    const bool sending = downstream.flush() && downstream.blocked();
    if (!sending && result.ended == TimePoint{}) result.ended = shard.read_clock();
    const Progress closing = attempt.settle();
    const Progress dropping = downstream.drop_request();
    if (!sending && closing == Progress::kEnded && dropping == Progress::kEnded) break;
    const TimePoint now = shard.now();
    Deadline client_by = kNever;
    if (dropping != Progress::kEnded) client_by = deadline_after(result.ended, kDropFor);
    if (sending) client_by = sent_by;
    if (sending && !downstream.request_received()) client_by = std::min(sent_by, standstill.deadline(downstream, now));
    if (now >= client_by) {
      downstream.leave(stream::Leaving::kReset);
      continue;
    }
    if (sending) downstream.arm_write();
    if (dropping == Progress::kBlocked) downstream.arm_read();
    attempt.arm();
    const bool again = closing == Progress::kMoved || dropping == Progress::kMoved;
    co_await wakeup.wait(again ? now : std::min(client_by, attempt.settles_by()));
    if (sending) result.waited += shard.now() - now;
  }
  result.settled = shard.now();
  co_return result;
}

}  // namespace router::proxy
