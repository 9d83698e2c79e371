#include "router/discovery/probe.h"

#include <absl/strings/str_cat.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "router/http/head.h"
#include "router/runtime/descriptors.h"
#include "tls/stream.h"

namespace router::discovery {
namespace {

using runtime::IoResult;
using runtime::IoState;

constexpr std::chrono::seconds kAskAgain{1};  // while a replica is not ready
constexpr std::size_t kHeadMax = 64 * 1024;   // as for every head (contract, section 4)

std::string probe_request(const ProbeTarget& target) {
  const std::string host = target.name.substr(0, target.name.rfind(':'));
  return absl::StrCat("GET ", target.route.path, " HTTP/1.1\r\nHost: ", host, ":", target.address.port(),
                      "\r\nUser-Agent: inference-router-probe\r\nAccept: */*\r\nConnection: close\r\n\r\n");
}

Readiness verdict(std::string_view head) {
  http::ResponseHead parsed;
  if (!http::parse_response(head, parsed)) return Readiness::kUnreachable;
  return parsed.status >= 200 && parsed.status < 400 ? Readiness::kReady : Readiness::kNotReady;
}

/// The answer's head. The body is not waited for: the connection is closed.
Task<Readiness> read_verdict(runtime::Wakeup& wakeup, tls::Stream& stream, Deadline deadline, const bool& stopped) {
  std::string answer;
  http::HeadScanner scanner;
  for (std::array<char, 1024> bytes; answer.size() < kHeadMax;) {
    const IoResult got = stream.read(bytes);
    if (got.moved()) {
      answer.append(bytes.data(), got.bytes);
      if (const std::size_t head = scanner.scan(answer); head > 0) co_return verdict(std::string_view(answer).substr(0, head));
      continue;
    }
    if (got.state != IoState::kBlocked) co_return Readiness::kUnreachable;
    stream.arm_read();
    if (!co_await wakeup.wait(deadline) || stopped) co_return Readiness::kNoAnswer;
  }
  co_return Readiness::kUnreachable;
}

/// kReady: `into` is connected. It needs the wakeup no longer than this takes.
Task<Readiness> connect(runtime::Wakeup& wakeup, const runtime::Address& address, Deadline deadline, const bool& stopped,
                        runtime::Socket& into) {
  int error = 0;
  into = runtime::start_connect(wakeup.shard(), address.bytes(), error);
  if (!into.is_open()) co_return runtime::is_our_shortage(error) ? Readiness::kNotAsked : Readiness::kUnreachable;
  into.set_waker(&wakeup);
  while (!into.is_connected(error)) {
    if (error != 0) co_return Readiness::kUnreachable;
    into.arm_write();
    if (!co_await wakeup.wait(deadline) || stopped) co_return Readiness::kNoAnswer;
  }
  co_return Readiness::kReady;
}

}  // namespace

Task<Readiness> ask_for_readiness(runtime::Wakeup& wakeup, const ProbeTarget& target, Deadline deadline, const bool& stopped) {
  runtime::Socket socket;
  const Readiness connected = co_await connect(wakeup, target.address, deadline, stopped, socket);
  if (connected != Readiness::kReady) co_return connected;
  tls::Stream stream =
      target.tls ? tls::Stream(std::move(socket), *target.tls, target.server_name) : tls::Stream(std::move(socket));
  for (IoResult shaken = stream.handshake(); shaken.state != IoState::kDone; shaken = stream.handshake()) {
    if (shaken.state != IoState::kBlocked) co_return Readiness::kUnreachable;
    stream.arm_read();
    if (!co_await wakeup.wait(deadline) || stopped) co_return Readiness::kNoAnswer;
  }
  const std::string request = probe_request(target);  // small: a fresh connection takes it whole
  const iovec piece{const_cast<char*>(request.data()), request.size()};
  if (stream.write(std::span(&piece, 1)).state != IoState::kDone) co_return Readiness::kUnreachable;
  co_return co_await read_verdict(wakeup, stream, deadline, stopped);
}

Task<Readiness> ask_for_connection(runtime::Wakeup& wakeup, const runtime::Address& address, Deadline deadline,
                                   const bool& stopped) {
  runtime::Socket socket;
  co_return co_await connect(wakeup, address, deadline, stopped, socket);
}

/// Lives until its coroutine has ended, which may be after the prober.
struct ReplicaProber::Probing {
  Probing(runtime::Shard& control, ProbeTarget to, std::function<void(bool)> tell)
      : target(std::move(to)), changed(std::move(tell)), wakeup(control) {}

  static Task<void> run(std::shared_ptr<Probing> self) {
    runtime::Shard& shard = self->wakeup.shard();
    const TimePoint counted_from = deadline_after(shard.now(), self->target.settings.initial_delay);
    while (!self->stopped) {
      const std::optional<bool> success = co_await ask(self);
      if (self->stopped) break;
      if (success && (*success || shard.now() >= counted_from)) self->count(*success);
      const Deadline next = deadline_after(shard.now(), self->pause());
      while (!self->stopped && shard.now() < next) co_await self->wakeup.wait(next);
    }
  }

  /// Whether the replica is ready; nothing if the question does not count.
  static Task<std::optional<bool>> ask(std::shared_ptr<Probing> self) {
    ProbeLimit::Turn turn;
    if (self->target.limit != nullptr) {
      const std::shared_ptr<runtime::Wakeup> shared_wakeup(self, &self->wakeup);
      turn = co_await self->target.limit->wait_for_turn(shared_wakeup, self->stopped);
      if (self->stopped) co_return std::nullopt;
    }
    const std::uint64_t finished = self->exchanges_finished();
    const Deadline deadline = deadline_after(self->wakeup.shard().now(), self->target.settings.timeout);
    const Readiness readiness = co_await ask_for_readiness(self->wakeup, self->target, deadline, self->stopped);
    if (self->stopped || readiness == Readiness::kNotAsked) co_return std::nullopt;
    const bool only_busy = readiness == Readiness::kNoAnswer && self->exchanges_finished() != finished;
    if (only_busy) co_return std::nullopt;
    co_return readiness == Readiness::kReady;
  }

  std::uint64_t exchanges_finished() const { return target.exchanges_finished ? target.exchanges_finished() : 0; }

  Duration pause() const {
    const Duration period = target.settings.period;
    return told == true ? period : std::min<Duration>(period, kAskAgain);
  }

  void count(bool success) {
    successes = success ? successes + 1 : 0;
    failures = success ? 0 : failures + 1;
    const bool decided =
        success ? successes >= target.settings.success_threshold : failures >= target.settings.failure_threshold;
    if (!decided || told == success) return;
    told = success;
    changed(success);
  }

  const ProbeTarget target;
  const std::function<void(bool)> changed;
  runtime::Wakeup wakeup;
  bool stopped = false;
  std::optional<bool> told;
  int successes = 0;  // in a row
  int failures = 0;
};

ReplicaProber::ReplicaProber(runtime::Shard& control, runtime::TaskGroup& group, ProbeTarget target,
                             std::function<void(bool ready)> changed)
    : probing_(std::make_shared<Probing>(control, std::move(target), std::move(changed))) {
  // From the loop: whoever makes the prober may not be ready to be told yet.
  control.post([&group, probing = probing_] {
    if (!probing->stopped) group.try_spawn(Probing::run(probing));
  });
}

ReplicaProber::~ReplicaProber() {
  probing_->stopped = true;
  probing_->wakeup.shard().post([probing = probing_] { probing->wakeup.wake(); });
}

}  // namespace router::discovery
