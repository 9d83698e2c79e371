#include "router/runtime/socket.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <new>

#include "router/base/assert.h"
#include "router/runtime/descriptors.h"
#include "router/runtime/tcp_acknowledged.h"

namespace router::runtime {

Socket::Socket(Shard& shard, int descriptor, Precedence precedence) : shard_(&shard), descriptor_(descriptor) {
  ::fcntl(descriptor, F_SETFL, ::fcntl(descriptor, F_GETFL) | O_NONBLOCK);
  try {
    watch_ = shard.poller().watch(descriptor, precedence);
  } catch (const std::bad_alloc&) {
    ::close(std::exchange(descriptor_, -1));
    throw;
  }
}

Socket& Socket::operator=(Socket&& other) noexcept {
  if (this == &other) return *this;
  close();
  shard_ = other.shard_;
  watch_ = std::exchange(other.watch_, nullptr);
  descriptor_ = std::exchange(other.descriptor_, -1);
  traffic_ = other.traffic_;
  return *this;
}

void Socket::set_waker(Waker* waker) {
  if (watch_ != nullptr) watch_->set_waker(waker);
}

void Socket::arm_read() { watch_->arm_read(); }
void Socket::arm_write() { watch_->arm_write(); }
void Socket::wake_soon() { watch_->wake_soon(); }
bool Socket::read_armed() const { return watch_ != nullptr && watch_->read_armed(); }

IoResult Socket::failure(const char* cause) const {
  if (errno == ECONNRESET) traffic_.was_reset = true;
  if (errno != EPIPE) traffic_.has_failed = true;
  return {IoState::kFailed, 0, errno, cause};
}

IoResult Socket::read(std::span<char> into) const {
  const IoResult got = receive(into, 0);
  if (watch_ != nullptr) got.state == IoState::kDone ? watch_->note_more() : watch_->note_drained();
  return got;
}

IoResult Socket::peek(std::span<char> into) const {
  const IoResult got = receive(into, MSG_PEEK);
  if (watch_ != nullptr) watch_->note_drained();
  return got;
}

IoResult Socket::receive(std::span<char> into, int flags) const {
  ROUTER_ASSERT(shard_ == nullptr || shard_->is_here());
  ssize_t got;
  do {
    got = ::recv(descriptor_, into.data(), into.size(), flags);
  } while (got < 0 && errno == EINTR);
  if (got > 0) {
    const auto bytes = static_cast<std::size_t>(got);
    return {bytes == into.size() ? IoState::kDone : IoState::kDrained, bytes};
  }
  if (got == 0) return {IoState::kEof};
  if (errno == EAGAIN || errno == EWOULDBLOCK) return {IoState::kBlocked};
  return failure("reading failed");
}

IoResult Socket::write(std::span<const iovec> pieces) const {
  ROUTER_ASSERT(shard_ == nullptr || shard_->is_here());
  std::size_t total = 0;
  for (const iovec& piece : pieces) total += piece.iov_len;
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(pieces.data());
  message.msg_iovlen = pieces.size();
  ssize_t sent;
  do {
    // For one piece, send costs the kernel less than sendmsg.
    sent = pieces.size() == 1 ? ::send(descriptor_, pieces[0].iov_base, pieces[0].iov_len, MSG_NOSIGNAL)
                              : ::sendmsg(descriptor_, &message, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  const std::size_t bytes = sent > 0 ? static_cast<std::size_t>(sent) : 0;
  traffic_.sent += bytes;
  if (sent >= 0 && bytes == total) return {IoState::kDone, bytes};
  if (sent < 0 && errno != EAGAIN && errno != EWOULDBLOCK) return failure("writing failed");
  if (watch_ != nullptr) watch_->note_full();
  return {IoState::kBlocked, bytes};
}

IoResult Socket::write(std::string_view bytes) const {
  const iovec piece{const_cast<char*>(bytes.data()), bytes.size()};
  return write(std::span(&piece, 1));
}

void Socket::shutdown_write() const { ::shutdown(descriptor_, SHUT_WR); }

bool Socket::has_arrived() const {
  pollfd ask{descriptor_, POLLIN, 0};
  return ::poll(&ask, 1, 0) > 0;
}

bool Socket::peer_has_ended() const {
  pollfd ask{descriptor_, POLLRDHUP, 0};
  return ::poll(&ask, 1, 0) > 0 && (ask.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

void Socket::note_acknowledged() {
  traffic_.acknowledged_when_noted = acknowledged_by_peer(descriptor_);
  traffic_.sent_when_noted = traffic_.sent;
}

bool Socket::ended_before_receiving(std::uint64_t sent) const {
  if (!is_open() || traffic_.was_reset || !traffic_.acknowledged_when_noted) return false;
  char byte;
  if (::recv(descriptor_, &byte, 1, MSG_PEEK | MSG_DONTWAIT) != 0) return false;  // no FIN, or bytes before it
  const std::optional<std::uint64_t> now = acknowledged_by_peer(descriptor_);
  return now && *now - *traffic_.acknowledged_when_noted <= sent - traffic_.sent_when_noted;
}

bool Socket::ended_in_order() const {
  if (!is_open() || traffic_.has_failed) return false;
  char byte;
  return ::recv(descriptor_, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

bool Socket::is_connected(int& error) const {
  error = 0;
  socklen_t length = sizeof error;
  if (::getsockopt(descriptor_, SOL_SOCKET, SO_ERROR, &error, &length) != 0) error = errno;
  if (error != 0) return false;
  pollfd ask{descriptor_, POLLOUT, 0};
  return ::poll(&ask, 1, 0) > 0 && (ask.revents & POLLOUT) != 0;
}

void Socket::reset() {
  if (!is_open()) return;
  const linger now{1, 0};
  ::setsockopt(descriptor_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  close();
}

void Socket::close() {
  if (watch_ == nullptr) return;
  shard_->poller().forget(std::exchange(watch_, nullptr));
  ::close(std::exchange(descriptor_, -1));
}

int Socket::release() {
  if (watch_ == nullptr) return -1;
  shard_->poller().release(std::exchange(watch_, nullptr), descriptor_);
  return std::exchange(descriptor_, -1);
}

Socket start_connect(Shard& shard, std::span<const std::byte> address, int& error) {
  error = 0;
  const auto* peer = reinterpret_cast<const sockaddr*>(address.data());
  const int descriptor = ::socket(peer->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (descriptor < 0) {
    error = errno;
    return {};
  }
  if (descriptor >= replica_descriptors_end()) {
    error = EMFILE;
    ::close(descriptor);
    return {};
  }
  const int on = 1;
  ::setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (::connect(descriptor, peer, static_cast<socklen_t>(address.size())) != 0 && errno != EINPROGRESS) {
    error = errno;
    ::close(descriptor);
    return {};
  }
  try {
    return Socket(shard, descriptor);
  } catch (const std::bad_alloc&) {
    error = ENOMEM;
    return {};
  }
}

}  // namespace router::runtime
