#include "router/upstream/http1_exchange.h"

#include <new>
#include <utility>

#include "router/upstream/handover.h"
#include "router/upstream/replica.h"

namespace router::upstream {

namespace {

constexpr std::chrono::seconds kPoolRest{60};

}  // namespace

using runtime::IoResult;
using runtime::IoState;

Http1Exchange::Http1Exchange(const dispatch::HeldSlot& held_slot, std::shared_ptr<Connection> connection, bool waited,
                             http::Method method, runtime::Wakeup& wakeup)
    : UpstreamExchange(connection->reused(), waited),
      held_slot_(held_slot),
      connection_(std::move(connection)),
      wakeup_(wakeup),
      method_(method),
      sent_before_(connection_->stream().socket().bytes_sent()) {
  connection_->take(wakeup_);
}

void Http1Exchange::begin_head(std::string_view method, std::string_view path, std::string_view path_rest,
                               std::string_view query) {
  connection_->output().begin_request(method, path, path_rest, query);
}

Result<void> Http1Exchange::flush() {
  const IoResult sent = connection_->output().queue().flush(connection_->stream());
  if (sent.state == IoState::kFailed) return Failure::upstream(Reason::kUpstreamReset, sent.cause, sent.system_error);
  return {};
}

bool Http1Exchange::request_sent() const {
  const http1::MessageOutput& output = connection_->output();
  return output.body_ended() && output.queue().empty() && !output.queue().blocked();
}

Result<const http::ResponseHead*> Http1Exchange::response_head() {
  if (head_parsed_) return &head_;
  const Result<std::string_view> bytes = connection_->input().head(connection_->stream(), kHeadBytesMax);
  if (!bytes) {
    note_broken();
    return bytes.error();
  }
  if (bytes->empty()) return nullptr;
  heard_ = true;
  if (const Result<void> parsed = http::parse_response(*bytes, head_); !parsed) return parsed.error();
  if (head_.status == 101)
    return Failure::upstream(Reason::kUpstreamInvalidResponse,
                             "the pod answered 101, but the router did not ask for an upgrade");
  const Result<http::Framing> framing = http::response_framing(head_, method_);
  if (!framing) return framing.error();
  head_parsed_ = true;
  keeps_alive_ = http::keeps_alive(head_) && framing->kind != http::Framing::Kind::kUntilClose;
  if (head_.status >= 200) connection_->input().begin_body(*framing);
  return &head_;
}

void Http1Exchange::skip_interim() {
  connection_->input().skip_head();
  head_parsed_ = false;
}

Leaving Http1Exchange::leaving() const {
  const bool pod_closes = !keeps_alive_ && connection_->input().framing().kind != http::Framing::Kind::kUntilClose;
  return request_sent() && !pod_closes ? Leaving::kReusable : Leaving::kClose;
}

void Http1Exchange::note_broken() {
  if (std::exchange(broken_, true) || !reused() || heard_ || connection_->input().begun()) return;
  connection_->note_broken();
}

Unseen Http1Exchange::ended_unseen() const {
  if (replica_of(held_slot_).is_router()) return ended_unannounced();
  if (!reused() || heard_ || connection_->input().begun()) return Unseen::kNo;
  if (connection_->stream().socket().ended_before_receiving(sent_before_)) return Unseen::kProved;
  const bool is_safe = method_ == http::Method::kGet || method_ == http::Method::kHead;
  return is_safe ? Unseen::kAssumed : Unseen::kNo;
}

/// The other router passes its interim answer to the kernel before its pod gets the first byte, and what was passed on arrives
/// before a FIN. A reset may have overtaken it.
Unseen Http1Exchange::ended_unannounced() const {
  if (heard_ || connection_->input().begun()) return Unseen::kNo;
  if (connection_->stream().socket().ended_in_order()) return Unseen::kProved;
  const bool is_safe = method_ == http::Method::kGet || method_ == http::Method::kHead;
  return is_safe ? Unseen::kAssumed : Unseen::kNo;
}

stream::Progress Http1Exchange::leave(Leaving how) {
  if (how == Leaving::kClose) return close();
  if (how == Leaving::kReusable) finish();
  connection_.reset();
  return stream::Progress::kEnded;
}

void Http1Exchange::finish() {
  // Bytes after the response answer no request of ours: such a connection must not carry another request.
  const bool clean = !connection_->input().has_unread();
  connection_->input().finish();
  Replica& replica = replica_of(held_slot_);
  replica.exchange_finished(connection_->shard().index());
  if (!keeps_alive_) return;
  connection_->answered(replica.is_router() ? 200 : head_.status);  // a pod's 5xx says nothing about the router before it
  if (!clean) connection_->begin_close();
  try {
    rest();
  } catch (const std::bad_alloc&) {  // the connection ends instead; the answer is complete
  }
}

void Http1Exchange::rest() { held_slot_.entry() != nullptr ? put_back(held_slot_, std::move(connection_)) : rest_in_pool(); }

void Http1Exchange::rest_in_pool() {
  std::shared_ptr<Connection> connection = std::move(connection_);
  Replica& replica = replica_of(held_slot_);
  const std::size_t shard = connection->shard().index();
  Replica::Pool& pool = replica.pool(shard);
  if (connection->closing() || pool.size() >= replica.idle_max() || replica.pool_is_retired(shard)) return;
  pool.reserve(replica.idle_max());
  IdleLocation location;
  location.replica = replica.weak_from_this();
  connection->rest(kPoolRest, std::move(location));
  connection->count(dispatch::LooseConnection(replica.pod()->loose()));
  pool.push_back(std::move(connection));
}

stream::Progress Http1Exchange::close() {
  if (connection_->closing()) return connection_->await_close();
  connection_->output().queue().clear();
  connection_->begin_close();
  return stream::Progress::kMoved;
}

}  // namespace router::upstream
