#include "router/client/connection.h"

#include <array>
#include <utility>

namespace router::client {
namespace {

using runtime::Cancellation;
using runtime::IoResult;
using runtime::IoState;

constexpr int kReadsInARow = 8;  // of up to 256 KB each; then other work of this thread runs

Error error_at(Stage stage, ErrorKind kind) { return {stage, kind, "", 0, {}}; }
Error failed_at(Stage stage, const char* cause, int system_error) {
  return {stage, ErrorKind::kFailed, cause, system_error, {}};
}
/// `invalid` is the kind of error if the response is invalid at that stage.
Error error_of(const Failure& failure, Stage stage, ErrorKind invalid) {
  if (failure.reason == Reason::kUpstreamInvalidResponse) return error_at(stage, invalid);
  return failed_at(stage, failure.cause, failure.system_error);
}

/// Appends the body to a string.
class Collector final : public stream::BodySink {
 public:
  explicit Collector(std::string& into) : into_(into) {}
  void body_piece(std::string_view bytes) override { into_.append(bytes); }
  void body_end(const http::Fields*) override {}

 private:
  std::string& into_;
};

}  // namespace

Connection::Connection(runtime::Shard& shard, tls::Stream stream, std::shared_ptr<tls::ClientContext> context,
                       HeadLimits limits)
    : context_(std::move(context)),
      limits_(limits),
      stream_(std::move(stream)),
      input_(shard, Origin::kUpstream),
      output_(shard.buffers()) {}

Task<Outcome<void>> Connection::wait(Cancellation& cancellation, Deadline deadline, Stage stage) {
  reads_ = 0;
  const bool woken = co_await cancellation.wakeup().wait(deadline);
  if (cancellation.cancelled()) co_return error_at(stage, ErrorKind::kCancelled);
  if (!woken || cancellation.now() >= deadline) co_return error_at(stage, ErrorKind::kTimedOut);
  co_return boost::system::in_place_value;
}

Task<Outcome<void>> Connection::send(Cancellation& cancellation, Deadline deadline) {
  for (;;) {
    const IoResult sent = output_.queue().flush(stream_);
    if (sent.state == IoState::kDone) co_return boost::system::in_place_value;
    if (sent.state == IoState::kFailed) co_return failed_at(Stage::kRequest, sent.cause, sent.system_error);
    stream_.arm_write();
    const Outcome<void> waited = co_await wait(cancellation, deadline, Stage::kRequest);
    if (!waited) co_return waited.error();
  }
}

Task<Outcome<const http::ResponseHead*>> Connection::head(Cancellation& cancellation, Deadline deadline) {
  for (;;) {
    const Outcome<const http::ResponseHead*> found = head_at_hand();
    if (!found || *found != nullptr) co_return found;
    stream_.arm_read();
    const Outcome<void> waited = co_await wait(cancellation, deadline, Stage::kHead);
    if (!waited) co_return waited.error();
  }
}

Outcome<const http::ResponseHead*> Connection::head_at_hand() {
  for (;;) {
    const Result<std::string_view> bytes = input_.head(stream_, limits_.bytes_max);
    if (!bytes) return error_of(bytes.error(), Stage::kHead, ErrorKind::kTooLarge);
    if (bytes->empty()) return nullptr;
    if (const Result<void> valid = http::parse_response(*bytes, head_); !valid) {
      return error_of(valid.error(), Stage::kHead, ErrorKind::kInvalid);
    }
    if (head_.status >= 200 || head_.status == 101) return &head_;
    if (++interim_ > limits_.interim_max) return error_at(Stage::kHead, ErrorKind::kInterimOnly);
    input_.skip_head();
  }
}

Outcome<void> Connection::begin_body(http::Method method) {
  if (head_.status == 101) return error_at(Stage::kHead, ErrorKind::kInvalid);
  const Result<http::Framing> framing = http::response_framing(head_, method);
  if (!framing) return error_of(framing.error(), Stage::kHead, ErrorKind::kInvalid);
  input_.begin_body(*framing);
  keeps_alive_ = http::keeps_alive(head_) && framing->kind != http::Framing::Kind::kUntilClose;
  return boost::system::in_place_value;
}

Task<Outcome<Body>> Connection::body(Cancellation& cancellation, std::string& into, Deadline deadline) {
  const std::size_t before = into.size();
  Collector collector(into);
  for (;;) {
    const bool pauses = ++reads_ > kReadsInARow;
    if (pauses) {
      stream_.socket().wake_soon();
    } else {
      const Result<stream::Progress> progress = input_.read_body(stream_, collector);
      if (!progress) co_return error_of(progress.error(), Stage::kBody, ErrorKind::kInvalid);
      if (into.size() > before) co_return Body::kGoesOn;
      if (*progress == stream::Progress::kEnded) co_return Body::kComplete;
      if (*progress != stream::Progress::kBlocked) continue;
      stream_.arm_read();
    }
    const Outcome<void> waited = co_await wait(cancellation, deadline, Stage::kBody);
    if (!waited) co_return waited.error();
  }
}

bool Connection::rest() {
  if (!keeps_alive_ || input_.has_unread()) return false;
  input_.finish();
  ++exchanges_;
  interim_ = 0;
  rests_since_ = stream_.socket().shard().now();
  stream_.socket().set_waker(nullptr);
  return true;
}

void Connection::take(Cancellation& cancellation) { stream_.socket().set_waker(&cancellation.wakeup()); }

bool Connection::is_usable() {
  // A TLS server may send session tickets at any time. Only the TLS layer can tell them from an unexpected response.
  std::array<char, 1> unexpected;
  return stream_.is_open() && stream_.read(unexpected).state == IoState::kBlocked;
}

}  // namespace router::client
