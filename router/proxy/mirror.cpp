#include "router/proxy/mirror.h"

#include <algorithm>
#include <utility>

#include "router/proxy/drain_answer.h"
#include "router/proxy/ending.h"
#include "router/upstream/exchange.h"
#include "router/upstream/replica.h"

namespace router::proxy {

using metrics::MirrorResult;
using runtime::Wakeup;

// --- a copy ------------------------------------------------------------------------------------------------------------------

MirrorCopy::MirrorCopy(Mirrors& mirrors, Views::Snapshot view, const model::Deployment& deployment, http::Method method)
    : mirrors_(mirrors), view_(std::move(view)), deployment_(deployment), method_(method) {}

MirrorCopy::~MirrorCopy() {
  mirrors_.bytes_ -= reserved_;
  mirrors_.cells_.mirrored[static_cast<std::size_t>(result_)].add();
}

bool MirrorCopy::reserve(std::size_t bytes) {
  if (!wanted()) return false;
  const bool too_large = reserved_ + bytes > kBytesMax;
  if (too_large || mirrors_.bytes_ + bytes > mirrors_.bytes_max_) {
    give_up(too_large ? MirrorResult::kTooLarge : MirrorResult::kNoMemory);
    return false;
  }
  reserved_ += bytes;
  mirrors_.bytes_ += bytes;
  return true;
}

void MirrorCopy::give_up(MirrorResult result) {
  result_ = result;
  std::string().swap(head_);
  std::string().swap(body_);
  fields_ = {};
  mirrors_.bytes_ -= std::exchange(reserved_, 0);
}

MirrorCopy::Span MirrorCopy::keep(std::string_view text) {
  if (!reserve(text.size())) return {};
  const Span span{head_.size(), text.size()};
  head_.append(text);
  return span;
}

void MirrorCopy::begin_head(std::string_view method, std::string_view path, std::string_view path_rest,
                            std::string_view query) {
  start_ = {keep(method), keep(path), keep(path_rest), keep(query)};
}

void MirrorCopy::field(std::string_view name, std::string_view value) {
  const Span kept_name = keep(name);
  const Span kept_value = keep(value);
  if (wanted()) fields_.emplace_back(kept_name, kept_value);
}

void MirrorCopy::end_head(wire::BodySize size) {
  has_body_ = size.kind != wire::BodySize::Kind::kNone;
  if (size.kind == wire::BodySize::Kind::kLength) make_room(size.length);
  if (!has_body_) complete_ = true;
}

/// Memory counts when it is taken, not when it is filled.
bool MirrorCopy::make_room(std::size_t body_bytes) {
  if (!wanted()) return false;
  const std::size_t room = body_room_;
  if (body_bytes <= room) return true;
  const std::size_t wanted_room = std::max(body_bytes, std::min(2 * room, kBytesMax / 2));
  if (!reserve(wanted_room - room)) return false;
  body_.reserve(wanted_room);
  body_room_ = wanted_room;
  return true;
}

void MirrorCopy::body_piece(std::string_view bytes) {
  if (make_room(body_.size() + bytes.size())) body_.append(bytes);
}

void MirrorCopy::body_end(const http::Fields*) { complete_ = true; }

void MirrorCopy::restart_body() {
  if (has_body_) complete_ = false;
  body_.clear();
}

void MirrorCopy::send(std::unique_ptr<MirrorCopy> copy) {
  Mirrors& mirrors = copy->mirrors_;
  mirrors.send(std::move(copy));
}

void MirrorCopy::write_to(wire::RequestSink& sink) const {
  sink.begin_head(text(start_[0]), text(start_[1]), text(start_[2]), text(start_[3]));
  for (const auto& [name, value] : fields_) sink.field(text(name), text(value));
  wire::BodySize size;
  if (has_body_) size = {wire::BodySize::Kind::kLength, body_.size()};
  sink.end_head(size);
  if (!has_body_) return;
  if (!body_.empty()) sink.body_piece(body_);
  sink.body_end(nullptr);
}

// --- on its way --------------------------------------------------------------------------------------------------------------

namespace {

/// Nobody waits for a copy; it ends with the shard's mirroring.
class UntilStopped final : public wire::Cancellation {
 public:
  explicit UntilStopped(const bool& stopped) : stopped_(stopped) {}
  Result<void> still_wanted() override { return may_take_slot(); }
  Result<void> may_take_slot() const override {
    if (stopped_) return Failure::internal(Reason::kDraining, "mirroring has ended");
    return {};
  }
  Deadline ask_again(TimePoint) const override { return kNever; }

 private:
  const bool& stopped_;
};

/// Keeps a wakeup where the end of all mirroring finds it.
class Enlisted {
 public:
  Enlisted(std::unordered_set<Wakeup*>& all, Wakeup& mine) : all_(all), mine_(mine) { all_.insert(&mine_); }
  Enlisted(const Enlisted&) = delete;
  Enlisted& operator=(const Enlisted&) = delete;
  ~Enlisted() { all_.erase(&mine_); }

 private:
  std::unordered_set<Wakeup*>& all_;
  Wakeup& mine_;
};

Task<Result<void>> send_all(upstream::UpstreamExchange& exchange, Deadline deadline, Wakeup& wakeup,
                            wire::Cancellation& cancellation) {
  for (;;) {
    if (const Result<void> sent = exchange.flush(); !sent) co_return sent.error();
    if (exchange.request_sent()) co_return boost::system::in_place_value;
    if (const Result<void> wanted = cancellation.still_wanted(); !wanted) co_return wanted.error();
    if (wakeup.shard().now() >= deadline) co_return Failure::upstream(Reason::kUpstreamTimeout, "the pod takes no request");
    exchange.arm_write();
    co_await wakeup.wait(deadline);
  }
}

Task<void> close(Ending& ending, Wakeup& wakeup) {
  ending.begin();
  for (;;) {
    const wire::Progress closing = ending.proceed();
    if (closing == wire::Progress::kEnded) co_return;
    ending.arm();
    co_await wakeup.wait(closing == wire::Progress::kMoved ? wakeup.shard().now() : ending.deadline());
  }
}

}  // namespace

Mirrors::Mirrors(runtime::Shard& shard, std::size_t shards, metrics::ShardCells& cells)
    : shard_(shard),
      bytes_max_(kProcessBytesMax / std::max<std::size_t>(shards, 1)),
      cells_(cells),
      sending_(shard, kSendingMax) {}

void Mirrors::send(std::unique_ptr<MirrorCopy> copy) {
  if (!copy->wanted()) return;
  shard_.post([this, copy = std::move(copy)]() mutable {
    if (!stopped_) sending_.try_spawn(deliver(std::move(copy)));
  });
}

void Mirrors::stop() {
  stopped_ = true;
  const std::vector<Wakeup*> all(wakeups_.begin(), wakeups_.end());
  for (Wakeup* wakeup : all) {
    if (wakeups_.contains(wakeup)) wakeup->wake();
  }
}

Task<void> Mirrors::deliver(std::unique_ptr<MirrorCopy> copy) {
  Wakeup wakeup(shard_);
  const Enlisted enlisted(wakeups_, wakeup);
  copy->result_ = MirrorResult::kFailed;
  copy->result_ = co_await exchange(*copy, wakeup);
}

Task<MirrorResult> Mirrors::exchange(const MirrorCopy& copy, Wakeup& wakeup) {
  const model::Deployment& deployment = copy.deployment_;
  dispatch::Lease lease = deployment.line->take_idle(shard_);
  if (!lease) co_return MirrorResult::kNoSlot;
  // A replica of a newer configuration belongs to other routes: nobody is waiting, so the copy is not sent at all.
  const auto generation = static_cast<const upstream::Replica&>(lease.replica()).generation();
  if (generation > copy.view_->generation) co_return MirrorResult::kNoSlot;

  UntilStopped cancellation(stopped_);
  upstream::OpenOptions options;
  options.connect_timeout = deployment.connect_timeout;
  options.abort_wait = deployment.abort_wait;
  options.cells = &deployment.metrics->on(shard_.index());
  options.method = copy.method_;
  Result<std::unique_ptr<upstream::UpstreamExchange>> opened = co_await upstream::open(lease, options, wakeup, cancellation);
  if (!opened) co_return MirrorResult::kFailed;
  Ending ending(shard_);
  upstream::UpstreamExchange& exchange = ending.hold(std::move(*opened), deployment.abort_wait);
  copy.write_to(exchange);
  const Deadline deadline = deadline_after(shard_.now(), deployment.request_timeout);
  Result<void> answered = co_await send_all(exchange, deadline, wakeup, cancellation);
  if (answered) answered = co_await drain_answer(exchange, deployment, wakeup, cancellation);
  if (answered) exchange.lease().verdict().outcome = dispatch::Verdict::Outcome::kSucceeded;
  if (!answered && upstream::blames_replica(answered.error())) {
    exchange.lease().verdict().outcome = dispatch::Verdict::Outcome::kFailed;
  }
  if (answered && !exchange.pod_closes()) {
    ending.finish();
  } else {
    co_await close(ending, wakeup);
  }
  co_return answered ? MirrorResult::kAnswered : MirrorResult::kFailed;
}

}  // namespace router::proxy
