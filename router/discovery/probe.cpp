#include "router/discovery/probe.h"

#include <absl/strings/str_cat.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstring>
#include <optional>
#include <utility>

#include "router/http/head.h"
#include "router/runtime/background_task.h"
#include "router/runtime/descriptors.h"
#include "tls/stream.h"

namespace router::discovery {
namespace {

using runtime::IoResult;
using runtime::IoState;

constexpr std::chrono::seconds kAskAgain{1};  // while a replica is not ready
constexpr std::size_t kHeadMax = 64 * 1024;   // as for every head (contract, section 4)
constexpr std::size_t kInterimMax = 8;        // answers of 1xx before the one that tells

constexpr std::chrono::milliseconds kSlotAgain{10};  // until a resting connection has been closed,
constexpr std::chrono::milliseconds kSlotWait{500};  // for so long
constexpr std::size_t kBodyDropped = 1 << 20;        // bytes of a body behind the head that was asked for
constexpr std::size_t kPathTold = 64;                // characters of a route's path in `why`

std::string probe_request(const ProbeTarget& target) {
  return absl::StrCat("GET ", target.route.path, " HTTP/1.1\r\nHost: ", target.host, ":", target.address.port(),
                      "\r\nUser-Agent: inference-router-probe\r\nAccept: */*\r\nConnection: close\r\n\r\n");
}

/// `GET /healthz`: without a query, which might be a secret, and safe inside a JSON text.
std::string told_question(const ProbeTarget& target) {
  std::string path = target.route.path.substr(0, target.route.path.find('?'));
  if (path.size() > kPathTold) path.replace(kPathTold, std::string::npos, "...");
  std::replace_if(
      path.begin(), path.end(), [](char c) { return c <= ' ' || c > '~' || c == '"' || c == '\\'; }, '?');
  return "GET " + path;
}

std::string told_timeout(const ProbeTarget& target) { return absl::StrCat(" in ", target.settings.timeout.count(), " s"); }

/// As the kernel calls it, in lower case: `connection refused`.
std::string text_of(int system_error) {
  const char* text = ::strerrordesc_np(system_error);
  std::string told = text != nullptr ? text : "unknown error";
  told.front() = static_cast<char>(std::tolower(static_cast<unsigned char>(told.front())));
  return told;
}

/// One question, whose answer says how far it has come.
class Question {
 public:
  Question(runtime::Cancellation& cancellation, const ProbeTarget& target, Deadline deadline, const HeldSlot& slot)
      : cancellation_(cancellation), target_(target), deadline_(deadline), slot_(slot) {}

  /// kReady: `into` is connected. It needs the wakeup no longer than this takes.
  Task<ProbeAnswer> connect(const runtime::Address& address, runtime::Socket& into) {
    if (given_up()) co_return ProbeAnswer();
    int error = 0;
    into = runtime::start_connect(cancellation_.shard(), address.bytes(), error);
    if (!into.is_open()) co_return could_not_connect(error);
    into.set_waker(&cancellation_.wakeup());
    while (!into.is_connected(error)) {
      if (error != 0) co_return could_not_connect(error);
      into.arm_write();
      if (co_await in_time()) continue;
      if (slot_.wanted()) into.reset();
      co_return too_late("no connection");
    }
    connected_ = true;
    co_return answer(Readiness::kReady, "");
  }

  Task<ProbeAnswer> shake_hands(tls::Stream& stream) {
    for (IoResult shaken = stream.handshake(); shaken.state != IoState::kDone; shaken = stream.handshake()) {
      if (shaken.state != IoState::kBlocked) co_return answer(Readiness::kUnreachable, absl::StrCat("TLS: ", shaken.cause));
      stream.arm_read();
      if (!co_await in_time()) co_return too_late("TLS: no answer");
    }
    co_return answer(Readiness::kReady, "");
  }

  Task<ProbeAnswer> ask(tls::Stream& stream) {
    const std::string request = probe_request(target_);  // small: a fresh connection takes it whole
    const iovec piece{const_cast<char*>(request.data()), request.size()};
    if (stream.write(std::span(&piece, 1)).state != IoState::kDone) co_return broken();
    co_return co_await read_verdict(stream);
  }

  /// Whether `close` is to be waited for; asked first, as who was cancelled must need no memory.
  bool holds_slot() const { return slot_ && !cancellation_.cancelled(); }
  /// Both sides, so that the slot's next connection is never the pod's second; by a reset as soon as somebody waits for it.
  Task<void> close(tls::Stream& stream) {
    if (!slot_.wanted()) co_await close_in_order(stream);
    if (slot_.wanted()) stream.socket().reset();
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
      if (!co_await cancellation_.wakeup().wait(until) || given_up()) co_return;
    }
  }

  ProbeAnswer answer(Readiness readiness, std::string why) const { return {readiness, std::move(why), connected_}; }
  bool given_up() const { return cancellation_.cancelled() || slot_.wanted(); }
  /// Whoever gave up is not told anything.
  ProbeAnswer too_late(const char* what) const {
    return given_up() ? ProbeAnswer() : answer(Readiness::kNoAnswer, what + told_timeout(target_));
  }
  ProbeAnswer broken() const {
    return answer(Readiness::kUnreachable, "the connection ended without an answer to " + told_question(target_));
  }
  ProbeAnswer endless_interim() const {
    return answer(Readiness::kUnreachable, "nothing but interim answers to " + told_question(target_));
  }
  ProbeAnswer could_not_connect(int error) const {
    const bool shortage = runtime::is_our_shortage(error);
    return answer(shortage ? Readiness::kNotAsked : Readiness::kUnreachable,
                  shortage ? "the router is short of descriptors, ports or memory" : text_of(error));
  }
  /// Nothing for an interim answer (RFC 9110, 15.2): another one follows.
  std::optional<ProbeAnswer> verdict(std::string_view head) const {
    http::ResponseHead parsed;
    if (!http::parse_response(head, parsed)) {
      return answer(Readiness::kUnreachable, absl::StrCat("the answer to ", told_question(target_), " is not HTTP"));
    }
    if (parsed.status < 200 && parsed.status != 101) return std::nullopt;
    if (parsed.status >= 200 && parsed.status < 400) return answer(Readiness::kReady, "");
    return answer(Readiness::kNotReady, absl::StrCat(parsed.status, " from ", told_question(target_)));
  }

  /// The answer's head. The body is not waited for: the connection is closed.
  Task<ProbeAnswer> read_verdict(tls::Stream& stream) {
    std::string text;
    http::HeadScanner scanner;
    std::size_t interim = 0;
    for (std::array<char, 1024> bytes; text.size() < kHeadMax;) {
      if (const std::size_t head = scanner.scan(text); head > 0) {
        if (std::optional<ProbeAnswer> told = verdict(std::string_view(text).substr(0, head))) co_return std::move(*told);
        if (++interim > kInterimMax) co_return endless_interim();
        text.erase(0, head);
        scanner = {};
        continue;
      }
      const IoResult got = stream.read(bytes);
      if (got.moved()) {
        text.append(bytes.data(), got.bytes);
        continue;
      }
      if (got.state != IoState::kBlocked) co_return broken();
      if (given_up()) co_return ProbeAnswer();  // but what has come counts
      stream.arm_read();
      const bool woken = co_await cancellation_.wakeup().wait(deadline_);
      if (!woken || cancellation_.cancelled()) co_return too_late("no answer");
    }
    co_return answer(Readiness::kUnreachable, "the head of the answer to " + told_question(target_) + " is too long");
  }

  /// Waits; whether there is time left, and somebody who wants to know.
  Task<bool> in_time() {
    const bool woken = co_await cancellation_.wakeup().wait(deadline_);
    co_return woken && !given_up();
  }

  runtime::Cancellation& cancellation_;
  const ProbeTarget& target_;
  const Deadline deadline_;
  const HeldSlot& slot_;
  bool connected_ = false;
};

}  // namespace

void Claim::wanted() noexcept {
  self_ = shared_from_this();
  control_.send(*this);
}

void Claim::run() {
  const std::shared_ptr<TurnHolder> self = std::move(self_);
  came_ = true;
  if (const std::shared_ptr<runtime::Wakeup> wakeup = wakeup_.lock()) wakeup->wake();
}

Task<ProbeAnswer> ask_for_readiness(runtime::Cancellation& cancellation, const ProbeTarget& target, Deadline deadline,
                                    const HeldSlot& slot) {
  Question question(cancellation, target, deadline, slot);
  runtime::Socket socket;
  ProbeAnswer connected = co_await question.connect(target.address, socket);
  if (!connected.ready()) co_return connected;
  tls::Stream stream =
      target.tls ? tls::Stream(std::move(socket), *target.tls, target.server_name) : tls::Stream(std::move(socket));
  ProbeAnswer answer = co_await question.shake_hands(stream);
  if (answer.ready()) answer = co_await question.ask(stream);
  if (question.holds_slot()) co_await question.close(stream);
  co_return answer;
}

Task<ProbeAnswer> ask_for_connection(runtime::Cancellation& cancellation, const ProbeTarget& target,
                                     const runtime::Address& address, Deadline deadline, const HeldSlot& slot) {
  Question question(cancellation, target, deadline, slot);
  runtime::Socket socket;
  ProbeAnswer answer = co_await question.connect(address, socket);
  if (answer.ready() && question.holds_slot()) {
    tls::Stream stream(std::move(socket));
    co_await question.close(stream);
  }
  co_return answer;
}

Task<std::optional<HeldSlot>> take_slot(std::shared_ptr<runtime::CancelSource> cancellation, const ProbeTarget& target) {
  if (!target.slot) co_return HeldSlot();
  const Deadline until = deadline_after(cancellation->now(), kSlotWait);
  for (bool closing = false;;) {
    const auto claim = std::make_shared<Claim>(cancellation->shared_wakeup());
    ProbeSlot slot = target.slot(claim);
    if (slot.turn) co_return HeldSlot(std::move(slot.turn), claim);
    // Once a connection was closed for it, it does not give up because a request was faster.
    closing = closing || slot.soon;
    const TimePoint now = cancellation->now();
    if (!closing || now >= until) co_return std::nullopt;
    co_await cancellation->wakeup().wait(now + kSlotAgain);
    if (cancellation->cancelled()) co_return std::nullopt;
  }
}

struct ReplicaProber::Probing final : runtime::BackgroundTask {
  Probing(runtime::Shard& control, ProbeTarget to, std::function<void(bool)> tell,
          std::function<void(const ProbeAnswer&)> tell_each)
      : BackgroundTask(control, {kMemoryIsShort}),
        target(std::move(to)),
        changed(std::move(tell)),
        answered(std::move(tell_each)),
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

  /// Whether the replica is ready; nothing if the question does not count.
  Task<std::optional<bool>> ask() {
    ProbeLimit::Turn turn;
    if (target.limit != nullptr) {
      turn = co_await target.limit->wait_for_turn(shared_from_this());
      if (cancelled()) co_return std::nullopt;
    }
    const std::optional<HeldSlot> slot = co_await take_slot(shared_from_this(), target);
    skipped = !slot;
    if (cancelled() || skipped) co_return std::nullopt;
    const std::uint64_t finished = exchanges_finished();
    const Deadline deadline = deadline_after(now(), target.settings.timeout);
    ProbeAnswer answer = co_await ask_for_readiness(*this, target, deadline, *slot);
    skipped = answer.readiness == Readiness::kNotAsked && slot->wanted();
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
    changed(success);  // first: if it throws, it is told with the next answer
    told = success;
  }

  const ProbeTarget target;
  const std::function<void(bool)> changed;
  const std::function<void(const ProbeAnswer&)> answered;
  const TimePoint counted_from;
  std::optional<bool> told;
  bool skipped = false;  // the last time, all slots were busy, or a request wanted the one that it had
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
