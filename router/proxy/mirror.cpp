#include "router/proxy/mirror.h"

#include <algorithm>
#include <new>
#include <optional>
#include <utility>

#include "router/proxy/attempt.h"
#include "router/proxy/drain_answer.h"
#include "router/proxy/fleet_head.h"
#include "router/upstream/exchange.h"
#include "router/upstream/replica.h"

namespace router::proxy {

using metrics::MirrorResult;
using runtime::Wakeup;

// --- a copy ------------------------------------------------------------------------------------------------------------------

MirrorCopy::MirrorCopy(Mirrors& mirrors, Views::Snapshot view, const model::Deployment& deployment, http::Method method)
    : mirrors_(mirrors), view_(std::move(view)), deployment_(deployment), method_(method) {}

std::unique_ptr<MirrorCopy> MirrorCopy::begin(Mirrors& mirrors, Views::Snapshot view, const model::Deployment& deployment,
                                              http::Method method,
                                              absl::FunctionRef<void(stream::RequestSink&)> write_head) noexcept {
  std::unique_ptr<MirrorCopy> copy;
  try {
    copy = std::make_unique<MirrorCopy>(mirrors, std::move(view), deployment, method);
    write_head(*copy);
  } catch (const std::bad_alloc&) {
    if (copy != nullptr) {
      copy->give_up(MirrorResult::kNoMemory);
    } else {
      mirrors.cells_.mirrored[static_cast<std::size_t>(MirrorResult::kNoMemory)].add();
    }
  }
  if (copy != nullptr && !copy->wanted()) copy.reset();
  return copy;
}

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

/// Runs a step for the live exchange: a shortage of memory ends the copy, not the exchange.
template <class Step>
void MirrorCopy::while_memory_lasts(Step step) noexcept {
  try {
    step();
  } catch (const std::bad_alloc&) {
    give_up(MirrorResult::kNoMemory);
  }
}

void MirrorCopy::give_up(MirrorResult result) noexcept {
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
                            std::string_view query) noexcept {
  while_memory_lasts([&] { start_ = {keep(method), keep(path), keep(path_rest), keep(query)}; });
}

void MirrorCopy::field(std::string_view name, std::string_view value) noexcept {
  while_memory_lasts([&] {
    const Span kept_name = keep(name);
    const Span kept_value = keep(value);
    if (wanted()) fields_.emplace_back(kept_name, kept_value);
  });
}

void MirrorCopy::end_head(stream::BodySize size) noexcept {
  has_body_ = size.kind != stream::BodySize::Kind::kNone;
  if (size.kind == stream::BodySize::Kind::kLength) while_memory_lasts([&] { make_room(size.length); });
  if (!has_body_) complete_ = true;
}

/// Counts memory when it is allocated, not when it is filled.
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

void MirrorCopy::body_piece(std::string_view bytes) noexcept {
  while_memory_lasts([&] {
    if (make_room(body_.size() + bytes.size())) body_.append(bytes);
  });
}

void MirrorCopy::body_end(const http::Fields*) noexcept { complete_ = true; }

void MirrorCopy::restart_body() noexcept {
  if (has_body_) complete_ = false;
  body_.clear();
}

void MirrorCopy::send(std::unique_ptr<MirrorCopy> copy) noexcept {
  Mirrors& mirrors = copy->mirrors_;
  mirrors.send(std::move(copy));
}

void MirrorCopy::write_to(stream::RequestSink& sink) const {
  sink.begin_head(text(start_[0]), text(start_[1]), text(start_[2]), text(start_[3]));
  for (const auto& [name, value] : fields_) sink.field(text(name), text(value));
  stream::BodySize size;
  if (has_body_) size = {stream::BodySize::Kind::kLength, body_.size()};
  sink.end_head(size);
  if (!has_body_) return;
  if (!body_.empty()) sink.body_piece(body_);
  sink.body_end(nullptr);
}

// --- sending -----------------------------------------------------------------------------------------------------------------

namespace {

/// No client waits for a copy: it is cancelled only when the shard's mirroring stops.
class UntilStopped final : public stream::Cancellation {
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

Task<Result<void>> send_all(upstream::UpstreamExchange& exchange, Deadline deadline, Wakeup& wakeup,
                            stream::Cancellation& cancellation) {
  for (;;) {
    if (const Result<void> sent = exchange.flush(); !sent) co_return sent.error();
    if (exchange.request_sent()) co_return boost::system::in_place_value;
    if (const Result<void> wanted = cancellation.still_wanted(); !wanted) co_return wanted.error();
    if (wakeup.shard().now() >= deadline) co_return Failure::upstream(Reason::kUpstreamTimeout, "the pod takes no request");
    exchange.arm_write();
    co_await wakeup.wait(deadline);
  }
}

/// What an answer means that was read completely: it may be the refusal of the router that is home.
MirrorResult result_of(upstream::UpstreamExchange& exchange) {
  const Result<const http::ResponseHead*> head = exchange.response_head();
  const std::optional<HomeReply> reply = head && *head != nullptr ? read_home_reply(**head) : std::nullopt;
  if (!reply) return MirrorResult::kAnswered;
  const bool no_slot = reply->reason == Reason::kQueueFull || reply->reason == Reason::kHomeMoved;
  return no_slot ? MirrorResult::kNoSlot : MirrorResult::kFailed;
}

/// Until the attempt has given its slot back.
Task<void> settle(Attempt& attempt, Wakeup& wakeup) {
  for (;;) {
    const stream::Progress closing = attempt.settle();
    if (closing == stream::Progress::kEnded) co_return;
    attempt.arm();
    co_await wakeup.wait(closing == stream::Progress::kMoved ? wakeup.shard().now() : attempt.settles_by());
  }
}

}  // namespace

Mirrors::Mirrors(runtime::Shard& shard, std::size_t shards, metrics::ShardCells& cells)
    : shard_(shard),
      bytes_max_(kProcessBytesMax / std::max<std::size_t>(shards, 1)),
      cells_(cells),
      sending_(shard, kSendingMax) {}

Mirrors::~Mirrors() { complete_.clear_and_dispose(std::default_delete<MirrorCopy>()); }

void Mirrors::send(std::unique_ptr<MirrorCopy> copy) noexcept {
  if (!copy->wanted()) return;
  complete_.push_back(*copy.release());
  if (!departure_.on_its_way()) shard_.send(departure_);
}

void Mirrors::send_complete() noexcept {
  while (!complete_.empty()) {
    std::unique_ptr<MirrorCopy> copy(&complete_.front());
    complete_.pop_front();
    if (stopped_) continue;
    copy->result_ = MirrorResult::kNoMemory;  // the result if it cannot be spawned
    try {
      sending_.try_spawn(deliver(std::move(copy)));
    } catch (const std::bad_alloc&) {
      // The destructor has counted the copy.
    }
  }
}

void Mirrors::stop() noexcept {
  stopped_ = true;
  while (!enlisted_.empty()) {
    Enlisted& next = enlisted_.front();  // a task that is woken may end, and end others with it
    enlisted_.pop_front();
    next.wakeup.wake();
  }
}

Task<void> Mirrors::deliver(std::unique_ptr<MirrorCopy> copy) {
  Wakeup wakeup(shard_);
  const Enlisted enlisted(*this, wakeup);
  copy->result_ = MirrorResult::kFailed;
  const bool sent_on = copy->home_ != dispatch::NamespaceHome::kHere;
  if (sent_on) ++sent_on_;
  try {
    dispatch::HeldSlot slot = slot_for(*copy);
    copy->result_ = MirrorResult::kNoSlot;
    if (slot) copy->result_ = co_await exchange(*copy, std::move(slot), wakeup);
  } catch (const std::bad_alloc&) {
    copy->result_ = MirrorResult::kNoMemory;
  }
  if (!sent_on) co_return;
  --sent_on_;
  if (upstream::Peer* peer = peer_of(*copy)) peer->forgive();  // the fleet alone decides who is gone
}

upstream::Peer* Mirrors::peer_of(const MirrorCopy& copy) {
  return copy.view_->peers != nullptr ? copy.view_->peers->at(copy.home_) : nullptr;
}

dispatch::HeldSlot Mirrors::slot_for(const MirrorCopy& copy) {
  const dispatch::NamespaceHome* home = copy.deployment_.home.get();
  const std::int32_t where = home != nullptr ? home->where() : dispatch::NamespaceHome::kHere;
  if (where != copy.home_) return {};  // the home has moved since the head was written
  if (where == dispatch::NamespaceHome::kHere) return copy.deployment_.queue->take_idle(shard_);
  const upstream::Peer* peer = peer_of(copy);
  if (peer == nullptr || sent_on_ > kSentOnMax) return {};
  return peer->queue().take_idle(shard_);
}

Task<MirrorResult> Mirrors::exchange(const MirrorCopy& copy, dispatch::HeldSlot slot, Wakeup& wakeup) {
  const model::Deployment& deployment = copy.deployment_;
  // A replica of a newer configuration belongs to other routes. No client waits for the copy, so it is not sent at all.
  if (upstream::replica_of(slot).generation() > copy.view_->generation) co_return MirrorResult::kNoSlot;

  Attempt attempt(shard_);
  attempt.hold(std::move(slot));
  UntilStopped cancellation(stopped_);
  upstream::OpenOptions options;
  options.connect_timeout = deployment.connect_timeout;
  options.abort_wait = deployment.abort_wait;
  options.cells = &deployment.metrics->on(shard_.index());
  options.method = copy.method_;
  const Result<void> opened = co_await attempt.open(options, wakeup, cancellation);
  if (!opened) co_return MirrorResult::kFailed;
  upstream::UpstreamExchange& upstream = attempt.begin_sending();
  copy.write_to(upstream);
  const Deadline deadline = deadline_after(shard_.now(), deployment.request_timeout);
  stream::Cancellation& unless_cut = attempt.unless_cut(cancellation);
  Result<void> answered = co_await send_all(upstream, deadline, wakeup, unless_cut);
  if (answered) answered = co_await drain_answer(upstream, deployment, wakeup, unless_cut);
  const MirrorResult result = answered ? result_of(upstream) : MirrorResult::kFailed;
  if (answered) {
    attempt.succeed();
  } else {
    attempt.blame_replica_for(answered.error());
    attempt.give_up();
  }
  co_await settle(attempt, wakeup);
  co_return result;
}

}  // namespace router::proxy
