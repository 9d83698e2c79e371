#include "router/kubernetes/api_connection.h"

#include <absl/strings/numbers.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>
#include <system_error>
#include <utility>

#include "router/base/text.h"

namespace router::kubernetes {
namespace {

using runtime::IoResult;
using runtime::IoState;

constexpr int kInterimMax = 100;      // responses before the answer
constexpr int kReadsInARow = 8;       // of up to 256 KB each; then the others on this thread have a turn
constexpr int kRetryAfterMax = 3600;  // seconds; whoever waits has a bound of its own

absl::Status broken(const std::string& what, int system_error) {
  if (system_error == 0) return absl::UnavailableError(what);
  return absl::UnavailableError(what + ": " + std::system_category().message(system_error));
}

absl::Status broken(const Failure& failure) {
  if (failure.reason == Reason::kUpstreamInvalidResponse) return absl::DataLossError("it does not answer in valid HTTP/1.1");
  return broken(failure.cause, failure.system_error);
}

/// A peer that has gone without a word is noticed: while nothing is sent by keepalive, else by what it does not acknowledge.
void watch_over(int descriptor) {
  const auto set = [descriptor](int level, int option, int value) {
    ::setsockopt(descriptor, level, option, &value, sizeof value);
  };
  constexpr auto kLimit = std::chrono::milliseconds(ApiConnection::kVanishedAfter);
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, 15);  // seconds: 15 + 3 · 5 are kVanishedAfter
  set(IPPROTO_TCP, TCP_KEEPINTVL, 5);
  set(IPPROTO_TCP, TCP_KEEPCNT, 3);
  set(IPPROTO_TCP, TCP_USER_TIMEOUT, static_cast<int>(kLimit.count()));
}

Task<absl::Status> wait_to_connect(runtime::Cancellation& cancellation, Deadline deadline) {
  const bool in_time = co_await cancellation.wakeup().wait(deadline);
  if (cancellation.cancelled()) co_return absl::CancelledError("not wanted any more");
  if (!in_time) co_return absl::DeadlineExceededError("it does not answer in time when a connection is opened");
  co_return absl::OkStatus();
}

/// Keeps what arrives.
class Collector final : public wire::BodySink {
 public:
  explicit Collector(std::string& into) : into_(into) {}
  void body_piece(std::string_view bytes) override { into_.append(bytes); }
  void body_end(const http::Fields*) override {}

 private:
  std::string& into_;
};

std::optional<std::chrono::seconds> retry_after(const http::ResponseHead& head) {
  int seconds = 0;
  const bool is_number = absl::SimpleAtoi(to_absl(head.fields.get(http::Field::kRetryAfter)), &seconds) && seconds >= 0;
  if (!is_number) return std::nullopt;
  return std::chrono::seconds(std::min(seconds, kRetryAfterMax));
}

}  // namespace

ApiConnection::ApiConnection(runtime::Shard& control, std::shared_ptr<tls::ClientContext> tls, tls::Stream stream)
    : tls_(std::move(tls)), stream_(std::move(stream)), input_(control, Origin::kUpstream), output_(control.buffers()) {}

Task<absl::StatusOr<std::unique_ptr<ApiConnection>>> ApiConnection::open(runtime::Cancellation& cancellation,
                                                                         runtime::Address address,
                                                                         std::shared_ptr<tls::ClientContext> tls,
                                                                         std::string server_name, Deadline deadline) {
  int error = 0;
  runtime::Socket socket = runtime::start_connect(cancellation.shard(), address.bytes(), error);
  if (!socket.is_open()) co_return broken("no connection can be opened", error);
  socket.set_waker(&cancellation.wakeup());
  while (!socket.is_connected(error)) {
    if (error != 0) co_return broken("it cannot be reached", error);
    socket.arm_write();
    const absl::Status waited = co_await wait_to_connect(cancellation, deadline);
    if (!waited.ok()) co_return waited;
  }
  watch_over(socket.descriptor());
  tls::Stream stream = tls != nullptr ? tls::Stream(std::move(socket), *tls, server_name) : tls::Stream(std::move(socket));
  for (IoResult shaken = stream.handshake(); shaken.state != IoState::kDone; shaken = stream.handshake()) {
    if (shaken.state != IoState::kBlocked) co_return broken(shaken.cause, shaken.system_error);
    stream.arm_read();
    const absl::Status waited = co_await wait_to_connect(cancellation, deadline);
    if (!waited.ok()) co_return waited;
  }
  co_return std::make_unique<ApiConnection>(cancellation.shard(), std::move(tls), std::move(stream));
}

Task<absl::Status> ApiConnection::wait(runtime::Cancellation& cancellation, Deadline deadline, const char* what) {
  reads_ = 0;
  const bool woken = co_await cancellation.wakeup().wait(deadline);
  if (cancellation.cancelled()) co_return absl::CancelledError("not wanted any more");
  if (!woken || cancellation.now() >= deadline) co_return absl::DeadlineExceededError(what);
  co_return absl::OkStatus();
}

Task<absl::Status> ApiConnection::send(runtime::Cancellation& cancellation, Deadline deadline) {
  for (;;) {
    const IoResult sent = output_.queue().flush(stream_);
    if (sent.state == IoState::kDone) co_return absl::OkStatus();
    if (sent.state == IoState::kFailed) co_return broken(sent.cause, sent.system_error);
    stream_.arm_write();
    const absl::Status waited = co_await wait(cancellation, deadline, "it does not take the request in time");
    if (!waited.ok()) co_return waited;
  }
}

Task<absl::StatusOr<ApiHead>> ApiConnection::exchange_heads(runtime::Cancellation& cancellation, http::Method method,
                                                            Deadline deadline) {
  const absl::Status sent = co_await send(cancellation, deadline);
  if (!sent.ok()) co_return sent;
  for (int interim = 0; interim < kInterimMax;) {
    const Result<std::string_view> bytes = input_.head(stream_, kHeadMax);
    if (!bytes) co_return broken(bytes.error());
    if (bytes->empty()) {
      stream_.arm_read();
      const absl::Status waited = co_await wait(cancellation, deadline, "it does not answer in time");
      if (!waited.ok()) co_return waited;
      continue;
    }
    http::ResponseHead parsed;
    if (const Result<void> valid = http::parse_response(*bytes, parsed); !valid) co_return broken(valid.error());
    if (parsed.status == 101) break;
    if (parsed.status < 200) {
      input_.skip_head();
      ++interim;
      continue;
    }
    const Result<http::Framing> framing = http::response_framing(parsed, method);
    if (!framing) co_return broken(framing.error());
    input_.begin_body(*framing);
    const bool keeps_alive = http::keeps_alive(parsed) && framing->kind != http::Framing::Kind::kUntilClose;
    ApiHead head;
    head.status = parsed.status;
    head.retry_after = retry_after(parsed);
    head.keeps_alive = keeps_alive;
    co_return head;
  }
  co_return absl::DataLossError("it does not answer in valid HTTP/1.1");
}

Task<absl::StatusOr<bool>> ApiConnection::body(runtime::Cancellation& cancellation, std::string& into, Deadline deadline) {
  const std::size_t before = into.size();
  Collector collector(into);
  for (;;) {
    const bool pauses = ++reads_ > kReadsInARow;
    if (pauses) {
      stream_.socket().wake_soon();
    } else {
      const Result<wire::Progress> progress = input_.read_body(stream_, collector);
      if (!progress) co_return broken(progress.error());
      if (into.size() > before) co_return true;
      if (*progress == wire::Progress::kEnded) co_return false;
      if (*progress != wire::Progress::kBlocked) continue;
      stream_.arm_read();
    }
    const absl::Status waited = co_await wait(cancellation, deadline, "its answer does not end in time");
    if (!waited.ok()) co_return waited;
  }
}

bool ApiConnection::rest() {
  if (input_.has_unread()) return false;
  input_.finish();
  ++exchanges_;
  rests_since_ = stream_.socket().shard().now();
  stream_.socket().set_waker(nullptr);
  return true;
}

void ApiConnection::take(runtime::Cancellation& cancellation) { stream_.socket().set_waker(&cancellation.wakeup()); }

bool ApiConnection::is_usable() {
  // A server's TLS may send session tickets at any time: only the TLS layer can tell them from an answer nobody asked for.
  std::array<char, 1> unexpected;
  return stream_.is_open() && stream_.read(unexpected).state == IoState::kBlocked;
}

}  // namespace router::kubernetes
