#include "router/upstream/connection.h"

#include <array>
#include <utility>

#include "router/upstream/replica.h"

namespace router::upstream {

namespace {

/// How long a pod may leave an idle connection open after the router has shut down its side.
constexpr std::chrono::milliseconds kCloseWait{250};

}  // namespace

using runtime::IoState;

void IdleLocation::drop(Connection& connection) const {
  if (entry != nullptr) {
    std::unique_ptr<dispatch::StockedConnection> ended;  // destroyed here, outside the pod's mutex
    if (const std::shared_ptr<dispatch::PodSlots> owner = pod.lock()) owner->take_connection(*entry, stocked, ended);
  } else if (const std::shared_ptr<Replica> owner = replica.lock()) {
    std::erase_if(owner->pool(connection.shard().index()),
                  [&connection](const std::shared_ptr<Connection>& idle) { return idle.get() == &connection; });
  }
}

Connection::Connection(runtime::Shard& shard, tls::Stream stream, std::shared_ptr<ClosingHabits> habits, ConnectionPast past)
    : shard_(shard),
      stream_(std::move(stream)),
      input_(shard, Origin::kUpstream),
      output_(shard.buffers()),
      habits_(std::move(habits)),
      habit_(habits_->on(shard.index())),
      past_(past) {}

Connection::~Connection() { stream_.close(); }

void Connection::take(runtime::Waker& waker) {
  location_.reset();
  loose_.end();
  stream_.socket().set_waker(&waker);
}

void Connection::answered(int status) {
  past_.answered = shard_.now();
  past_.after_error = status >= 500;
}

void Connection::rest(Duration at_most, IdleLocation location) {
  const Deadline until = deadline_after(shard_.now(), at_most);
  // If the timer is already queued for an earlier time, it stays: `expired` then schedules it again.
  if (!queued() || until < when()) shard_.schedule(*this, until);
  rests_until_ = until;
  location_ = std::move(location);
  stream_.socket().set_waker(this);
  stream_.arm_read();
}

Fitness Connection::fitness() {
  if (!alive()) return Fitness::kSpent;
  if (habit_.keeps() && !past_.after_error) return Fitness::kFit;
  const TimePoint now = shard_.now();
  if (habit_.closes(now)) return Fitness::kUntrusted;
  const bool young = now < young_until();
  if (past_.after_error) return young ? Fitness::kAfterError : Fitness::kFit;
  if (young) return Fitness::kTooYoung;
  // The poller may not have reported an end yet. While the habit is not known, a system call to check is worth its cost.
  if (!stream_.socket().has_arrived()) {
    habit_.lived(now - past_.answered);
    return Fitness::kFit;
  }
  if (stream_.socket().peer_has_ended()) note_broken();
  return Fitness::kSpent;
}

/// Counts only an end soon after an answer. An end after a 5xx is not a habit: the server may close because of an exception.
void Connection::note_broken() {
  const TimePoint now = shard_.now();
  if (past_.after_error || now - past_.answered >= ClosingHabit::kSoon) return;
  habits_->ended(shard_.index(), past_.opened, now);
}

Connection::Sign Connection::look() {
  if (!stream_.is_open()) return Sign::kEnd;
  if (stream_.socket().read_armed()) return Sign::kNone;  // nothing has happened since it was armed
  // A pod's TLS may send session tickets while the connection is idle: only the TLS layer can distinguish them from unexpected
  // data.
  std::array<char, 1> unexpected;
  switch (stream_.read(unexpected).state) {
    case IoState::kBlocked: return Sign::kNone;
    case IoState::kDone:
    case IoState::kDrained: return Sign::kBytes;
    case IoState::kEof:
    case IoState::kFailed: break;
  }
  note_broken();
  return Sign::kEnd;
}

void Connection::wake() {
  if (closing_) return await_close() == stream::Progress::kEnded ? end() : stream_.arm_read();
  switch (look()) {
    case Sign::kNone: return stream_.arm_read();
    case Sign::kBytes: return close_in_place();
    case Sign::kEnd: return end();
  }
}

void Connection::expired() {
  if (!location_) return;  // in use
  if (shard_.now() < rests_until_) return shard_.schedule(*this, rests_until_);
  if (closing_) return end();
  if (!past_.after_error) habit_.lived(shard_.now() - past_.answered);
  close_in_place();
}

/// A connection in a slot stays there until the pod has closed too: an exchange that takes the slot meanwhile waits for that.
void Connection::close_in_place() {
  if (location_->entry == nullptr) return end();
  const Deadline until = shard_.now() + kCloseWait;
  shard_.schedule(*this, until);
  rests_until_ = until;
  begin_close();
  stream_.arm_read();
}

void Connection::close_if_resting() {
  if (!location_ || closing_) return;
  close_in_place();
}

void Connection::begin_close() {
  if (std::exchange(closing_, true)) return;
  stream_.shutdown_write();
}

stream::Progress Connection::await_close() {
  switch (stream_.read(shard_.scratch()).state) {
    case IoState::kDrained:
    case IoState::kBlocked: return stream::Progress::kBlocked;
    case IoState::kDone: return stream::Progress::kMoved;
    case IoState::kEof:
    case IoState::kFailed: break;
  }
  return stream::Progress::kEnded;
}

void Connection::end() {
  stream_.close();
  if (const std::optional<IdleLocation> location = std::exchange(location_, std::nullopt))
    location->drop(*this);  // may destroy this
}

int Connection::detach() {
  if (!stream_.is_open() || (stream_.is_tls() && !closing_)) return -1;
  return stream_.socket().release();
}

void Connection::end_at_home(std::shared_ptr<Connection> connection) noexcept {
  Connection& self = *connection;
  if (self.shard_.on_this_thread()) return;
  self.going_home_ = std::move(connection);
  self.shard_.send(self);
}

RestingConnection::~RestingConnection() {
  if (connection_ != nullptr) Connection::end_at_home(std::move(connection_));
}

void RestingConnection::close_soon() const {
  owner().post([resting = std::weak_ptr(connection_)] {
    if (const std::shared_ptr<Connection> connection = resting.lock()) connection->close_if_resting();
  });
}

std::size_t RestingConnection::shard() const { return connection_->shard().index(); }

}  // namespace router::upstream
