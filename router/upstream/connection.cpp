#include "router/upstream/connection.h"

#include <array>
#include <utility>

namespace router::upstream {

Connection::Connection(runtime::Shard& shard, tls::Stream stream, std::uint64_t exchanges)
    : shard_(shard),
      stream_(std::move(stream)),
      input_(shard, Origin::kUpstream),
      output_(shard.buffers()),
      exchanges_(exchanges) {}

Connection::~Connection() { stream_.close(); }

void Connection::take(runtime::Waker& waker) {
  ended_ = nullptr;
  stream_.socket().set_waker(&waker);
}

void Connection::rest(Duration at_most, std::function<void()> ended) {
  ++exchanges_;
  ended_ = std::move(ended);
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
  if (!ended_) return;  // in use
  if (shard_.now() < rests_until_) return shard_.schedule(*this, rests_until_);
  end();
}

void Connection::end() {
  stream_.close();
  if (ended_) std::exchange(ended_, nullptr)();  // may destroy this
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
