#include "router/proxy/drain_answer.h"

namespace router::proxy {
namespace {

struct Nowhere final : stream::BodySink {
  void body_piece(std::string_view) override {}
  void body_end(const http::Fields*) override {}
};

constexpr std::chrono::milliseconds kInterimPause{1};

}  // namespace

Task<Result<void>> drain_answer(upstream::UpstreamExchange& exchange, const model::Deployment& deployment,
                                runtime::Wakeup& wakeup, stream::Cancellation& cancellation) {
  Nowhere nowhere;
  runtime::Shard& shard = wakeup.shard();
  Deadline deadline = deadline_after(shard.now(), deployment.request_timeout);
  for (bool begun = false; shard.now() < deadline;) {
    if (const Result<void> wanted = cancellation.may_take_slot(); !wanted) co_return wanted.error();
    const Result<const http::ResponseHead*> head = exchange.response_head();
    if (!head) co_return head.error();
    if (*head != nullptr && (*head)->status < 200) {
      exchange.skip_interim();
      co_await wakeup.wait(shard.now() + kInterimPause);  // the pod may send any number of them: do not spin
      continue;
    }
    if (*head != nullptr) {
      if (!begun) deadline = deadline_after(shard.now(), deployment.stream_idle_timeout);
      begun = true;
      const Result<stream::Progress> moved = exchange.read_body(nowhere);
      if (!moved) co_return moved.error();
      if (*moved == stream::Progress::kEnded) co_return boost::system::in_place_value;
      if (*moved != stream::Progress::kBlocked) deadline = deadline_after(shard.now(), deployment.stream_idle_timeout);
      if (*moved == stream::Progress::kMoved) {
        co_await wakeup.wait(shard.now());
        continue;
      }
    }
    exchange.arm_read();
    co_await wakeup.wait(deadline);
  }
  co_return Failure::upstream(Reason::kUpstreamTimeout, "no answer from the pod within its timeouts");
}

}  // namespace router::proxy
