#include "router/discovery/probe.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstring>
#include <optional>
#include <utility>

#include "router/client/connect.h"
#include "router/client/connection.h"
#include "router/runtime/background_task.h"
#include "router/runtime/descriptors.h"
#include "tls/stream.h"

namespace router::discovery {
namespace {

using runtime::IoResult;
using runtime::IoState;

constexpr std::chrono::seconds kAskAgain{1};  // the longest period while a replica is not ready
constexpr client::HeadLimits kHeadLimits{.interim_max = 8};

constexpr std::chrono::milliseconds kSlotAgain{10};  // between two tries while an idle connection is being closed
constexpr std::chrono::milliseconds kSlotWait{500};  // how long these tries go on
constexpr std::size_t kBodyDropped = 1 << 20;        // bytes of the answer's body that are read and dropped, at most
constexpr std::size_t kPathTold = 64;                // characters of a route's path in `why`

/// The request of a probe, like a kubelet's.
void write_question(const ProbeTarget& target, http1::MessageOutput& output) {
  output.begin_request("GET", target.route.path, "", "");
  output.field("Host", absl::StrCat(target.host, ":", target.address.port()));
  output.field("User-Agent", "inference-router-probe");
  output.field("Accept", "*/*");
  output.field("Connection", "close");
  output.end_head({});
}

/// `GET /healthz`, without the query, which may contain a secret. The text needs no escaping in JSON.
std::string question_text(const ProbeTarget& target) {
  std::string path = target.route.path.substr(0, target.route.path.find('?'));
  if (path.size() > kPathTold) path.replace(kPathTold, std::string::npos, "...");
  std::replace_if(
      path.begin(), path.end(), [](char c) { return c <= ' ' || c > '~' || c == '"' || c == '\\'; }, '?');
  return "GET " + path;
}

std::string timeout_text(const ProbeTarget& target) { return absl::StrCat(" in ", target.settings.timeout.count(), " s"); }

/// The system's text for the error, with a lower-case first letter: `connection refused`.
std::string text_of(int system_error) {
  const char* text = ::strerrordesc_np(system_error);
  std::string told = text != nullptr ? text : "unknown error";
  told.front() = static_cast<char>(std::tolower(static_cast<unsigned char>(told.front())));
  return told;
}

/// Cancelled if the prober is, or as soon as an exchange wants the slot.
class QuestionCancellation final : public runtime::Cancellation {
 public:
  QuestionCancellation(runtime::Cancellation& prober, const ProbeSlot& slot)
      : Cancellation(prober.wakeup()), prober_(prober), slot_(slot) {}
  bool cancelled() const override { return prober_.cancelled() || slot_.preempted(); }

 private:
  const runtime::Cancellation& prober_;
  const ProbeSlot& slot_;
};

/// One probe. Its answer says how far it came.
class Question {
 public:
  Question(runtime::Cancellation& prober, const ProbeTarget& target, Deadline deadline, const ProbeSlot& slot)
      : prober_(prober), target_(target), deadline_(deadline), slot_(slot), cancellation_(prober, slot) {}

  /// Connects `into`. kReady: it is connected.
  Task<ProbeAnswer> connect(const runtime::Address& address, runtime::Socket& into) {
    if (cancellation_.cancelled()) co_return ProbeAnswer();
    const client::Outcome<void> connected = co_await client::connect_socket(cancellation_, address, into, deadline_);
    connected_ = connected.has_value();
    if (connected_) co_return answer(Readiness::kReady, "");
    if (!connected.error().gave_up()) co_return could_not_connect(connected.error().system_error);
    if (into.is_open() && slot_.preempted()) into.reset();
    co_return too_late("no connection");
  }

  Task<ProbeAnswer> shake_hands(tls::Stream& stream) {
    const client::Outcome<void> shaken = co_await client::shake_hands(cancellation_, stream, deadline_);
    if (shaken) co_return answer(Readiness::kReady, "");
    if (shaken.error().gave_up()) co_return too_late("TLS: no answer");
    co_return answer(Readiness::kUnreachable, absl::StrCat("TLS: ", shaken.error().cause));
  }

  Task<ProbeAnswer> ask(client::Connection& connection) {
    write_question(target_, connection.output());
    const client::Outcome<void> sent = co_await connection.send(cancellation_, deadline_);
    if (!sent) co_return answer_of(sent.error());
    client::Outcome<const http::ResponseHead*> head = co_await connection.head(cancellation_, deadline_);
    if (!head && head.error().gave_up() && !prober_.cancelled()) {
      const client::Outcome<const http::ResponseHead*> at_hand = connection.head_at_hand();  // counts if it has arrived
      if (!at_hand || *at_hand != nullptr) head = at_hand;
    }
    co_return head ? answer_of(**head) : answer_of(head.error());
  }

  /// Whether the caller must await `close`. If the prober was cancelled it must not, because `close` needs memory.
  bool holds_slot() const { return slot_ && !prober_.cancelled(); }
  /// Waits until both sides have closed, for `close_wait` at most, so that the slot's next connection is not a second one at
  /// the pod. Resets the connection as soon as an exchange waits for the slot.
  Task<void> close(tls::Stream& stream) {
    if (!slot_.preempted()) co_await close_in_order(stream);
    if (slot_.preempted()) stream.socket().reset();
  }

 private:
  Task<void> close_in_order(tls::Stream& stream) {
    stream.shutdown_write();
    const Deadline until = deadline_after(cancellation_.now(), target_.close_wait);
    std::array<char, 1024> bytes;
    for (std::size_t dropped = 0; dropped < kBodyDropped;) {
      const IoResult got = stream.read(bytes);
      dropped += got.bytes;
      if (got.moved()) continue;
      if (got.state != IoState::kBlocked) co_return;
      stream.arm_read();
      if (!co_await cancellation_.wakeup().wait(until) || cancellation_.cancelled()) co_return;
    }
  }

  ProbeAnswer answer(Readiness readiness, std::string why) const { return {readiness, std::move(why), connected_}; }
  /// The answer after a timeout, or an empty one after a cancellation.
  ProbeAnswer too_late(const char* what) const {
    return cancellation_.cancelled() ? ProbeAnswer() : answer(Readiness::kNoAnswer, what + timeout_text(target_));
  }
  ProbeAnswer could_not_connect(int error) const {
    const bool shortage = runtime::is_our_shortage(error);
    return answer(shortage ? Readiness::kNotAsked : Readiness::kUnreachable,
                  shortage ? "the router is short of descriptors, ports or memory" : text_of(error));
  }
  ProbeAnswer answer_of(const http::ResponseHead& head) const {
    if (head.status >= 200 && head.status < 400) return answer(Readiness::kReady, "");
    return answer(Readiness::kNotReady, absl::StrCat(head.status, " from ", question_text(target_)));
  }
  ProbeAnswer answer_of(const client::Error& error) const {
    if (error.gave_up()) return too_late("no answer");
    const std::string question = question_text(target_);
    switch (error.kind) {
      case client::ErrorKind::kTimedOut:
      case client::ErrorKind::kCancelled:
      case client::ErrorKind::kFailed: break;
      case client::ErrorKind::kInvalid:
        return answer(Readiness::kUnreachable, absl::StrCat("the answer to ", question, " is not HTTP"));
      case client::ErrorKind::kInterimOnly:
        return answer(Readiness::kUnreachable, "nothing but interim answers to " + question);
      case client::ErrorKind::kTooLarge:
        return answer(Readiness::kUnreachable, "the head of the answer to " + question + " is too long");
    }
    return answer(Readiness::kUnreachable, "the connection ended without an answer to " + question);
  }

  runtime::Cancellation& prober_;
  const ProbeTarget& target_;
  const Deadline deadline_;
  const ProbeSlot& slot_;
  QuestionCancellation cancellation_;
  bool connected_ = false;
};

client::Security security_of(const ProbeTarget& target) {
  return target.tls != nullptr ? client::Security(*target.tls, target.server_name) : client::Security();
}

}  // namespace

void Preemption::preempt() noexcept {
  self_ = shared_from_this();
  control_.send(*this);
}

void Preemption::run() {
  const std::shared_ptr<PreemptibleHolder> self = std::move(self_);
  requested_ = true;
  if (const std::shared_ptr<runtime::Wakeup> wakeup = wakeup_.lock()) wakeup->wake();
}

Task<ProbeAnswer> ask_for_readiness(runtime::Cancellation& cancellation, const ProbeTarget& target, Deadline deadline,
                                    const ProbeSlot& slot) {
  Question question(cancellation, target, deadline, slot);
  runtime::Socket socket;
  ProbeAnswer connected = co_await question.connect(target.address, socket);
  if (!connected.ready()) co_return connected;
  client::Connection connection(cancellation.shard(), security_of(target).upon(std::move(socket)), nullptr, kHeadLimits);
  ProbeAnswer answer = co_await question.shake_hands(connection.stream());
  if (answer.ready()) answer = co_await question.ask(connection);
  if (question.holds_slot()) co_await question.close(connection.stream());
  co_return answer;
}

Task<ProbeAnswer> ask_for_connection(runtime::Cancellation& cancellation, const ProbeTarget& target,
                                     const runtime::Address& address, Deadline deadline, const ProbeSlot& slot) {
  Question question(cancellation, target, deadline, slot);
  runtime::Socket socket;
  ProbeAnswer answer = co_await question.connect(address, socket);
  if (answer.ready() && question.holds_slot()) {
    tls::Stream stream(std::move(socket));
    co_await question.close(stream);
  }
  co_return answer;
}

Task<std::optional<ProbeSlot>> take_slot(std::shared_ptr<runtime::CancelSource> cancellation, const ProbeTarget& target) {
  if (!target.slot) co_return ProbeSlot();
  const Deadline until = deadline_after(cancellation->now(), kSlotWait);
  for (bool closing = false;;) {
    const auto preemption = std::make_shared<Preemption>(cancellation->shared_wakeup());
    ProbeSlotOffer offer = target.slot(preemption);
    if (offer.slot) co_return ProbeSlot(std::move(offer.slot), preemption);
    // If a connection was closed for this probe but an exchange took the slot first, the probe keeps trying.
    closing = closing || offer.soon;
    const TimePoint now = cancellation->now();
    if (!closing || now >= until) co_return std::nullopt;
    co_await cancellation->wakeup().wait(now + kSlotAgain);
    if (cancellation->cancelled()) co_return std::nullopt;
  }
}

struct ReplicaProber::Probing final : runtime::BackgroundTask {
  Probing(runtime::Shard& control, ProbeTarget to, std::function<void(bool)> on_change,
          std::function<void(const ProbeAnswer&)> on_answer)
      : BackgroundTask(control, {kMemoryIsShort}),
        target(std::move(to)),
        changed(std::move(on_change)),
        answered(std::move(on_answer)),
        counted_from(deadline_after(control.now(), target.settings.initial_delay)) {}

  Task<void> run() override {
    while (!cancelled()) {
      const std::optional<bool> success = co_await ask();
      if (cancelled()) break;
      if (success && (*success || now() >= counted_from)) count(*success);
      const Deadline next = deadline_after(now(), pause());
      while (!cancelled() && now() < next) co_await wakeup().wait(next);
    }
  }

  /// Sends one probe. Returns whether the replica is ready, or nothing if the probe does not count.
  Task<std::optional<bool>> ask() {
    ProbeLimit::Permit permit;
    if (target.limit != nullptr) {
      permit = co_await target.limit->acquire(shared_from_this());
      if (cancelled()) co_return std::nullopt;
    }
    const std::optional<ProbeSlot> slot = co_await take_slot(shared_from_this(), target);
    skipped = !slot;
    if (cancelled() || skipped) co_return std::nullopt;
    const std::uint64_t finished = exchanges_finished();
    const Deadline deadline = deadline_after(now(), target.settings.timeout);
    ProbeAnswer answer = co_await ask_for_readiness(*this, target, deadline, *slot);
    skipped = answer.readiness == Readiness::kNotAsked && slot->preempted();
    if (cancelled() || skipped) co_return std::nullopt;
    if (asks_elsewhere(answer)) {
      const Deadline until = deadline_after(now(), target.settings.timeout);
      const ProbeAnswer other = co_await ask_for_connection(*this, target, *target.other_family, until, *slot);
      if (cancelled()) co_return std::nullopt;
      answer.other_connects = other.ready();
    }
    const bool only_busy = answer.readiness == Readiness::kNoAnswer && exchanges_finished() != finished;
    if (only_busy) co_return std::nullopt;
    if (answered) answered(answer);
    if (cancelled() || answer.readiness == Readiness::kNotAsked) co_return std::nullopt;
    co_return answer.ready();
  }

  bool asks_elsewhere(const ProbeAnswer& answer) const {
    if (!target.other_family || answer.readiness == Readiness::kNotAsked) return false;
    return target.prefers_other_family ? !answer.ready() : !answer.connected;
  }

  std::uint64_t exchanges_finished() const { return target.exchanges_finished ? target.exchanges_finished() : 0; }

  Duration pause() const {
    const Duration period = target.settings.period;
    return told == true && !skipped ? period : std::min<Duration>(period, kAskAgain);
  }

  void count(bool success) {
    successes = success ? successes + 1 : 0;
    failures = success ? 0 : failures + 1;
    const bool decided =
        success ? successes >= target.settings.success_threshold : failures >= target.settings.failure_threshold;
    if (!decided || told == success) return;
    changed(success);  // first: if it throws, the next answer reports the change again
    told = success;
  }

  const ProbeTarget target;
  const std::function<void(bool)> changed;
  const std::function<void(const ProbeAnswer&)> answered;
  const TimePoint counted_from;
  std::optional<bool> told;
  bool skipped = false;  // the last probe found all slots busy, or an exchange wanted its slot
  int successes = 0;     // in a row
  int failures = 0;
};

ReplicaProber::ReplicaProber(runtime::Shard& control, runtime::TaskGroup& group, ProbeTarget target,
                             std::function<void(bool ready)> changed, std::function<void(const ProbeAnswer&)> answered)
    : probing_(std::make_shared<Probing>(control, std::move(target), std::move(changed), std::move(answered))) {
  probing_->begin(group);
}

ReplicaProber::~ReplicaProber() { probing_->cancel(); }

}  // namespace router::discovery
