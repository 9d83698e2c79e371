#include "tests/unit/exchange/scripted_pods.h"

#include <algorithm>
#include <cerrno>
#include <stdexcept>

#include "router/http/known_fields.h"
#include "router/upstream/replica.h"
#include "tests/support/failing_memory.h"
#include "tests/support/test_shard.h"

namespace router::test {

using stream::Progress;
using upstream::UpstreamExchange;

namespace {

ScriptedPods* current = nullptr;

}  // namespace

// --- a connection, from the side of the test ---------------------------------------------------------------------------------

void PodConnection::notify(bool& armed) {
  if (wakeup_ == nullptr || !std::exchange(armed, false)) return;
  runtime::Shard& shard = wakeup_->shard();
  wakeup_->wake();
  if (!unheard) poll(shard);
}

/// The pod's own allocations must not fail.
void PodConnection::keep(int status, FieldList more, std::string_view bytes) {
  const FailingMemory::Pause unhurt;
  if (status > 0) heads_.push_back({status, std::move(more)});
  answer_.append(bytes);
}

void PodConnection::take_all() {
  takes_ = true;
  notify(write_armed_);
}

void PodConnection::begin_answer(int status, FieldList more) {
  keep(status, std::move(more), "");
  notify(read_armed_);
}

void PodConnection::interim() { begin_answer(103); }

void PodConnection::send(std::string_view bytes) {
  keep(0, {}, bytes);
  notify(read_armed_);
}

void PodConnection::end_answer() {
  answer_ended_ = true;
  notify(read_armed_);
}

void PodConnection::answer(int status, std::string_view bytes, FieldList more) {
  keep(status, std::move(more), bytes);
  answer_ended_ = true;
  notify(read_armed_);
}

void PodConnection::breaks(Failure failure) {
  broken_ = true;
  failure_ = failure;
  notify(read_armed_);
  notify(write_armed_);
}

void PodConnection::close() {
  deaf = false;
  notify(read_armed_);
}

void PodConnection::plant_exception() {
  planted_ = true;
  notify(read_armed_);
}

// --- the same connection, from the side of the exchange ----------------------------------------------------------------------

class ScriptedExchange final : public UpstreamExchange {
 public:
  ScriptedExchange(ScriptedPods& pods, std::shared_ptr<PodConnection> connection, dispatch::HeldSlot& held_slot,
                   runtime::Wakeup& wakeup)
      : UpstreamExchange(connection->reused, !connection->reused),
        pods_(pods),
        pod_(std::move(connection)),
        held_slot_(held_slot) {
    pod_->wakeup_ = &wakeup;
    ++pods_.in_use;
  }
  ~ScriptedExchange() override {
    pod_->wakeup_ = nullptr;
    --pods_.in_use;
  }

  void begin_head(std::string_view, std::string_view path, std::string_view rest, std::string_view) override {
    pod_->path = std::string(path) + std::string(rest);
    pod_->fields.clear();
    gathered_ = 1;
  }
  void field(std::string_view name, std::string_view value) override { pod_->fields.emplace_back(name, value); }
  void end_head(stream::BodySize size) override { body_ended_ = size.kind == stream::BodySize::Kind::kNone; }
  void body_piece(std::string_view bytes) override {
    pending_ += bytes;
    gathered_ += bytes.size();
  }
  void body_end(const http::Fields*) override { body_ended_ = true; }
  Result<void> flush() override {
    if (pod_->broken_ || pod_->refuses_more_) return Failure::upstream(Reason::kUpstreamReset, "the pod closed the connection");
    blocked_ = !pod_->takes_ && gathered_ > 0;
    if (blocked_) return {};
    pod_->body += std::exchange(pending_, {});
    gathered_ = 0;
    pod_->has_all = body_ended_;
    return {};
  }
  bool blocked() const override { return blocked_; }
  bool request_sent() const override { return pod_->has_all; }

  Result<const http::ResponseHead*> response_head() override {
    if (pod_->planted_) throw std::runtime_error("planted");
    if (!pod_->heads_.empty()) {
      const PodConnection::Head& head = pod_->heads_.front();
      head_.status = head.status;
      head_.fields.clear();
      for (const auto& [name, value] : head.fields) head_.fields.add({name, value, http::identify(name)});
      return &head_;
    }
    if (pod_->broken_) return pod_->failure_;
    return nullptr;
  }
  void skip_interim() override { pod_->heads_.pop_front(); }
  stream::BodySize response_size() const override { return {stream::BodySize::Kind::kUnknown}; }
  Result<Progress> read_body(stream::BodySink& sink) override {
    const std::string_view piece = std::string_view(pod_->answer_).substr(read_);
    if (!piece.empty()) sink.body_piece(piece);
    read_ += piece.size();
    if (pod_->answer_ended_) {
      sink.body_end(nullptr);
      return Progress::kEnded;
    }
    if (!piece.empty()) return Progress::kDrained;
    if (pod_->broken_) return pod_->failure_;
    return Progress::kBlocked;
  }
  void arm_read() override { pod_->read_armed_ = true; }
  void arm_write() override { pod_->write_armed_ = true; }
  upstream::Unseen ended_unseen() const override { return pod_->reused ? pod_->unseen : upstream::Unseen::kNo; }
  upstream::Leaving leaving() const override {
    return pod_->has_all && !pod_->says_close ? upstream::Leaving::kReusable : upstream::Leaving::kClose;
  }
  Progress leave(upstream::Leaving how) override {
    if (how == upstream::Leaving::kClose && std::exchange(pod_->closing, true)) {
      return pod_->deaf ? Progress::kBlocked : Progress::kEnded;
    }
    if (how == upstream::Leaving::kClose) return Progress::kMoved;
    (how == upstream::Leaving::kReusable ? pod_->rests : pod_->closed) = true;
    pod_->outcome = held_slot_.report().outcome;
    return Progress::kEnded;
  }

 private:
  ScriptedPods& pods_;
  const std::shared_ptr<PodConnection> pod_;
  dispatch::HeldSlot& held_slot_;
  http::ResponseHead head_;
  std::string pending_;
  std::size_t gathered_ = 0;
  std::size_t read_ = 0;
  bool body_ended_ = true;
  bool blocked_ = false;
};

// --- all connections to pods -------------------------------------------------------------------------------------------------

ScriptedPods::ScriptedPods(runtime::Shard& shard) : shard_(shard) { current = this; }
ScriptedPods::~ScriptedPods() { current = nullptr; }

std::shared_ptr<PodConnection> ScriptedPods::plan_connection() {
  auto connection = std::make_shared<PodConnection>();
  plans_.push_back({Opening::kConnects, connection});
  return connection;
}

void ScriptedPods::let_in() {
  let_in_ = true;
  for (runtime::Wakeup* each : std::exchange(hanging_, {})) each->wake();
  poll(shard_);
}

PodConnection& ScriptedPods::last() { return connections.empty() ? nobodys_ : *connections.back(); }

ScriptedPods::Plan ScriptedPods::next() {
  Plan plan;
  if (plans_.empty()) return plan;
  plan = plans_.front();
  plans_.pop_front();
  return plan;
}

Task<Result<std::unique_ptr<UpstreamExchange>>> open_scripted(dispatch::HeldSlot& held_slot, upstream::OpenOptions options,
                                                              runtime::Wakeup& wakeup, stream::Cancellation& cancellation) {
  using Opening = ScriptedPods::Opening;
  ScriptedPods& pods = *current;
  pods.tried.push_back({held_slot.replica().name(), options, held_slot.entry()});
  ScriptedPods::Plan plan = pods.next();
  Failure failure;
  if (plan.opening == Opening::kRefused) {
    failure = Failure::upstream(Reason::kUpstreamConnectFailed, "the pod refused the connection", ECONNREFUSED);
    co_return failure;
  }
  if (plan.opening == Opening::kShortage) {
    co_return Failure::internal(Reason::kUpstreamConnectFailed, "the router ran short of descriptors", EMFILE);
  }
  const Deadline deadline = deadline_after(wakeup.shard().now(), options.connect_timeout);
  while ((plan.opening == Opening::kHangs || plan.opening == Opening::kFetches) && !pods.let_in_) {
    if (const Result<void> wanted = cancellation.still_wanted(); !wanted) {
      if (plan.opening == Opening::kFetches) pods.left.push_back(std::move(held_slot));
      co_return wanted.error();
    }
    pods.hanging_.push_back(&wakeup);
    co_await wakeup.wait(std::min(deadline, cancellation.ask_again(wakeup.shard().now())));
    std::erase(pods.hanging_, &wakeup);
    if (wakeup.shard().now() >= deadline) plan.opening = Opening::kFails;
  }
  if (plan.opening == Opening::kFails) {
    failure = Failure::upstream(Reason::kUpstreamConnectFailed, "connecting took too long", ETIMEDOUT);
    co_return failure;
  }
  if (plan.connection == nullptr) plan.connection = std::make_shared<PodConnection>();
  pods.connections.push_back(plan.connection);
  std::unique_ptr<UpstreamExchange> exchange = std::make_unique<ScriptedExchange>(pods, plan.connection, held_slot, wakeup);
  co_return std::move(exchange);
}

}  // namespace router::test

// This definition replaces the router's: the tests of exchanges link it.
namespace router::upstream {

Task<Result<std::unique_ptr<UpstreamExchange>>> open(dispatch::HeldSlot& held_slot, OpenOptions options,
                                                     runtime::Wakeup& wakeup, stream::Cancellation& cancellation) {
  return test::open_scripted(held_slot, options, wakeup, cancellation);
}

}  // namespace router::upstream
