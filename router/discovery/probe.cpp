#include "router/discovery/probe.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <array>

#include "router/http/head.h"
#include "tls/stream.h"

namespace router::discovery {
namespace {

using runtime::IoResult;
using runtime::IoState;

constexpr std::chrono::seconds kAskAgain{1};  // while a replica is not ready
constexpr std::size_t kHeadMax = 8 * 1024;

std::string probe_request(const ProbeTarget& target) {
  return absl::StrCat("GET ", target.route.path, " HTTP/1.1\r\nHost: ", target.name,
                      "\r\nUser-Agent: inference-router-probe\r\nAccept: */*\r\nConnection: close\r\n\r\n");
}

bool says_ready(std::string_view head) {
  http::ResponseHead parsed;
  return http::parse_response(head, parsed) && parsed.status >= 200 && parsed.status < 400;
}

}  // namespace

Task<Readiness> ask_for_readiness(runtime::Wakeup& wakeup, const ProbeTarget& target, Deadline deadline, const bool& stopped) {
  runtime::Shard& shard = wakeup.shard();
  int error = 0;
  runtime::Socket socket = runtime::start_connect(shard, target.address.bytes(), error);
  if (!socket.is_open()) co_return Readiness::kNotReady;
  socket.set_waker(&wakeup);
  while (!socket.is_connected(error)) {
    socket.arm_write();
    if (error != 0) co_return Readiness::kNotReady;
    if (!co_await wakeup.wait(deadline) || stopped) co_return Readiness::kNoAnswer;
  }
  tls::Stream stream =
      target.tls ? tls::Stream(std::move(socket), *target.tls, target.server_name) : tls::Stream(std::move(socket));
  for (;;) {
    const IoResult shaken = stream.handshake();
    if (shaken.state == IoState::kDone) break;
    stream.arm_read();
    if (shaken.state != IoState::kBlocked || !co_await wakeup.wait(deadline) || stopped) co_return Readiness::kNoAnswer;
  }
  const std::string request = probe_request(target);  // small: a fresh connection takes it whole
  const iovec piece{const_cast<char*>(request.data()), request.size()};
  if (stream.write(std::span(&piece, 1)).state != IoState::kDone) co_return Readiness::kNoAnswer;

  std::string answer;
  http::HeadScanner scanner;
  for (std::array<char, 1024> bytes; answer.size() < kHeadMax;) {
    const IoResult got = stream.read(bytes);
    if (got.moved()) {
      answer.append(bytes.data(), got.bytes);
      if (const std::size_t head = scanner.scan(answer); head > 0) {
        co_return says_ready(std::string_view(answer).substr(0, head)) ? Readiness::kReady : Readiness::kNotReady;
      }
      continue;
    }
    if (got.state != IoState::kBlocked) co_return Readiness::kNoAnswer;
    stream.arm_read();
    if (!co_await wakeup.wait(deadline) || stopped) co_return Readiness::kNoAnswer;
  }
  co_return Readiness::kNoAnswer;
}

/// Lives until its coroutine has ended, which may be after the prober.
struct ReplicaProber::Probing {
  Probing(runtime::Shard& control, ProbeTarget to, std::function<void(bool)> tell)
      : target(std::move(to)), changed(std::move(tell)), wakeup(control) {}

  static Task<void> run(std::shared_ptr<Probing> self) {
    runtime::Shard& shard = self->wakeup.shard();
    const config::Probe& settings = self->target.settings;
    const TimePoint counted_from = deadline_after(shard.now(), settings.initial_delay);
    while (!self->stopped) {
      const std::uint64_t answered = self->answered();
      const Readiness readiness =
          co_await ask_for_readiness(self->wakeup, self->target, deadline_after(shard.now(), settings.timeout), self->stopped);
      if (self->stopped) break;
      const bool busy = readiness == Readiness::kNoAnswer && self->answered() != answered;
      const bool success = readiness == Readiness::kReady;
      if (success || (!busy && shard.now() >= counted_from)) self->count(success);
      const Duration pause = self->ready ? Duration(settings.period) : std::min<Duration>(settings.period, kAskAgain);
      for (const Deadline next = deadline_after(shard.now(), pause); !self->stopped && shard.now() < next;)
        co_await self->wakeup.wait(next);
    }
  }

  std::uint64_t answered() const { return target.exchanges_finished ? target.exchanges_finished() : 0; }

  void count(bool success) {
    successes = success ? successes + 1 : 0;
    failures = success ? 0 : failures + 1;
    const bool becomes_ready = !ready && successes >= target.settings.success_threshold;
    const bool becomes_unready = ready && failures >= target.settings.failure_threshold;
    if (!becomes_ready && !becomes_unready) return;
    ready = becomes_ready;
    changed(ready);
  }

  const ProbeTarget target;
  const std::function<void(bool)> changed;
  runtime::Wakeup wakeup;
  bool stopped = false;
  bool ready = false;
  int successes = 0;
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
