#include "router/upstream/connection.h"

#include <array>
#include <utility>

#include "router/upstream/replica.h"

namespace router::upstream {

void RestingPlace::drop(Connection& connection) const {
  if (slot != nullptr) {
    std::unique_ptr<dispatch::Cargo> ended;  // ends here, outside the pod's mutex
    if (const std::shared_ptr<dispatch::PodSlots> owner = pod.lock()) owner->take_cargo(*slot, cargo, ended);
  } else if (const std::shared_ptr<Replica> owner = replica.lock()) {
    std::erase_if(owner->pool(connection.shard().index()),
                  [&connection](const std::shared_ptr<Connection>& idle) { return idle.get() == &connection; });
  }
}

Connection::Connection(runtime::Shard& shard, tls::Stream stream, std::uint64_t exchanges)
    : shard_(shard),
      stream_(std::move(stream)),
      input_(shard, Origin::kUpstream),
      output_(shard.buffers()),
      exchanges_(exchanges) {}

Connection::~Connection() { stream_.close(); }

void Connection::take(runtime::Waker& waker) {
  place_.reset();
  stream_.socket().set_waker(&waker);
}

void Connection::rest(Duration at_most, RestingPlace place) {
  ++exchanges_;
  place_ = std::move(place);
  rests_until_ = deadline_after(shard_.now(), at_most);
  if (!queued()) shard_.schedule(*this, rests_until_);  // else it fires too early, looks, and queues itself anew
  stream_.socket().set_waker(this);
  stream_.arm_read();
}

bool Connection::usable() {
  if (!stream_.is_open()) return false;
  if (stream_.socket().read_armed()) return true;  // nothing has happened since it came to rest
  // A pod's TLS may send session tickets while the connection rests: only the TLS layer can tell them from an answer nobody
  // asked for.
  std::array<char, 1> unexpected;
  return stream_.read(unexpected).state == runtime::IoState::kBlocked;
}

void Connection::wake() {
  if (usable()) {
    stream_.arm_read();
    return;
  }
  end();
}

void Connection::expired() {
  if (!place_) return;  // in use
  if (shard_.now() < rests_until_) return shard_.schedule(*this, rests_until_);
  end();
}

void Connection::end() {
  stream_.close();
  if (const std::optional<RestingPlace> place = std::exchange(place_, std::nullopt)) place->drop(*this);  // may destroy this
}

int Connection::detach() {
  if (stream_.is_tls() || !stream_.is_open()) return -1;
  return stream_.socket().release();
}

RestingConnection::~RestingConnection() {
  if (connection_ == nullptr || connection_->shard().on_this_thread()) return;
  runtime::Shard& home = connection_->shard();
  home.post([connection = std::move(connection_)] {});
}

std::size_t RestingConnection::shard() const { return connection_->shard().index(); }

}  // namespace router::upstream
