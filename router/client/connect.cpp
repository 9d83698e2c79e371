#include "router/client/connect.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

namespace router::client {
namespace {

using runtime::Address;
using runtime::Cancellation;
using runtime::IoResult;
using runtime::IoState;

/// Receives the result of a look-up, which may arrive after the waiting coroutine has ended.
struct LookUp {
  std::optional<runtime::Resolver::Addresses> addresses;
  runtime::Wakeup* wakeup = nullptr;  // nullptr: no coroutine waits
};

/// While this lives, the result of the look-up wakes `wakeup`.
class Waits {
 public:
  Waits(std::shared_ptr<LookUp> question, runtime::Wakeup& wakeup) : question_(std::move(question)) {
    question_->wakeup = &wakeup;
  }
  Waits(const Waits&) = delete;
  Waits& operator=(const Waits&) = delete;
  ~Waits() { question_->wakeup = nullptr; }

 private:
  const std::shared_ptr<LookUp> question_;
};

Error error_at(Stage stage, ErrorKind kind) { return {stage, kind, "", 0, {}}; }
Error failed_at(Stage stage, const char* cause, int system_error) {
  return {stage, ErrorKind::kFailed, cause, system_error, {}};
}
Error unresolved(std::string detail) { return {Stage::kLookUp, ErrorKind::kFailed, "", 0, std::move(detail)}; }

void notice_vanishing(int descriptor, std::chrono::seconds after) {
  const auto set = [descriptor](int level, int option, int value) {
    ::setsockopt(descriptor, level, option, &value, sizeof value);
  };
  constexpr int kProbes = 3;  // keepalive starts after half of the time; three probes take the other half
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, static_cast<int>(after.count() / 2));
  set(IPPROTO_TCP, TCP_KEEPINTVL, static_cast<int>(after.count() / 2 / kProbes));
  set(IPPROTO_TCP, TCP_KEEPCNT, kProbes);
  set(IPPROTO_TCP, TCP_USER_TIMEOUT, static_cast<int>(std::chrono::milliseconds(after).count()));
}

/// Waits until the socket is ready. Calls `cancelled` before the wait, too: some cancellations wake the coroutine only after
/// such a call.
Task<Outcome<void>> wait_for_peer(Cancellation& cancellation, Deadline deadline, Stage stage) {
  if (cancellation.cancelled()) co_return error_at(stage, ErrorKind::kCancelled);
  const bool woken = co_await cancellation.wakeup().wait(std::min(deadline, cancellation.ask_again()));
  if (cancellation.cancelled()) co_return error_at(stage, ErrorKind::kCancelled);
  if (!woken && cancellation.now() >= deadline) co_return error_at(stage, ErrorKind::kTimedOut);
  co_return boost::system::in_place_value;
}

Task<Outcome<tls::Stream>> connect_to(Cancellation& cancellation, Address address, Security security, ConnectOptions options,
                                      Deadline deadline) {
  runtime::Socket socket;
  const Outcome<void> connected = co_await connect_socket(cancellation, address, socket, deadline);
  if (!connected) co_return connected.error();
  if (options.vanished_after.count() > 0) notice_vanishing(socket.descriptor(), options.vanished_after);
  tls::Stream stream = security.upon(std::move(socket));
  const Outcome<void> shaken = co_await shake_hands(cancellation, stream, deadline);
  if (!shaken) co_return shaken.error();
  co_return std::move(stream);
}

}  // namespace

Task<Outcome<std::vector<Address>>> look_up(Cancellation& cancellation, runtime::Resolver& resolver, std::string host,
                                            std::uint16_t port, Deadline deadline) {
  if (const std::optional<Address> address = Address::parse(host, port)) co_return std::vector<Address>(1, *address);
  const auto question = std::make_shared<LookUp>();
  const Waits waits(question, cancellation.wakeup());
  resolver.resolve(host, port, [question](runtime::Resolver::Addresses addresses) {
    question->addresses = std::move(addresses);
    if (question->wakeup != nullptr) question->wakeup->wake();
  });
  bool in_time = true;
  while (in_time && !question->addresses && !cancellation.cancelled()) in_time = co_await cancellation.wakeup().wait(deadline);
  if (cancellation.cancelled()) co_return error_at(Stage::kLookUp, ErrorKind::kCancelled);
  if (!question->addresses) co_return error_at(Stage::kLookUp, ErrorKind::kTimedOut);
  if (!question->addresses->ok()) co_return unresolved(std::string(question->addresses->status().message()));
  co_return std::move(**question->addresses);
}

Task<Outcome<void>> connect_socket(Cancellation& cancellation, Address address, runtime::Socket& into, Deadline deadline) {
  int error = 0;
  into = runtime::start_connect(cancellation.shard(), address.bytes(), error);
  if (!into.is_open()) co_return failed_at(Stage::kOpen, "", error);
  into.set_waker(&cancellation.wakeup());
  while (!into.is_connected(error)) {
    if (error != 0) co_return failed_at(Stage::kConnect, "", error);
    into.arm_write();
    const Outcome<void> waited = co_await wait_for_peer(cancellation, deadline, Stage::kConnect);
    if (!waited) co_return waited;
  }
  co_return boost::system::in_place_value;
}

Task<Outcome<void>> shake_hands(Cancellation& cancellation, tls::Stream& stream, Deadline deadline) {
  for (IoResult shaken = stream.handshake(); shaken.state != IoState::kDone; shaken = stream.handshake()) {
    if (shaken.state != IoState::kBlocked) co_return failed_at(Stage::kHandshake, shaken.cause, shaken.system_error);
    stream.arm_read();
    const Outcome<void> waited = co_await wait_for_peer(cancellation, deadline, Stage::kHandshake);
    if (!waited) co_return waited;
  }
  co_return boost::system::in_place_value;
}

tls::Stream Security::upon(runtime::Socket socket) const {
  return context_ != nullptr ? tls::Stream(std::move(socket), *context_, *server_name_) : tls::Stream(std::move(socket));
}

Task<Outcome<tls::Stream>> connect(Cancellation& cancellation, std::vector<Address> addresses, Security security,
                                   ConnectOptions options, Deadline deadline) {
  if (cancellation.cancelled()) co_return error_at(Stage::kOpen, ErrorKind::kCancelled);
  Error last = failed_at(Stage::kLookUp, "it has no address", 0);
  for (std::size_t i = 0; i < addresses.size() && cancellation.now() < deadline; ++i) {
    const TimePoint now = cancellation.now();
    const Deadline share = deadline == kNever ? kNever : now + (deadline - now) / static_cast<int>(addresses.size() - i);
    Outcome<tls::Stream> connected = co_await connect_to(cancellation, addresses[i], security, options, share);
    if (connected || cancellation.cancelled()) co_return std::move(connected);
    last = connected.error();
  }
  co_return std::move(last);
}

}  // namespace router::client
