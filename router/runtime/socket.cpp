#include "router/runtime/socket.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/smart_ptr/intrusive_ptr.hpp>
#include <boost/system/system_error.hpp>
#include <cerrno>
#include <new>

#include "router/base/assert.h"
#include "router/runtime/descriptors.h"
#include "router/runtime/tcp_acknowledged.h"

namespace router::runtime {

namespace asio = boost::asio;

/// What Asio's handlers refer to: it outlives the Socket until the last armed handler has been told that it was cancelled.
struct Socket::Impl {
  using Descriptor = asio::posix::basic_stream_descriptor<asio::io_context::executor_type>;

  Impl(Shard& owner, int descriptor) : shard(owner), stream(owner.io().get_executor(), descriptor) {}

  void arm(Descriptor::wait_type type, bool& armed) {
    if (armed) return;
    armed = true;
    stream.async_wait(type, [self = boost::intrusive_ptr(this), &armed](const boost::system::error_code& error) {
      armed = false;
      if (!error && self->waker != nullptr) self->waker->wake();
    });
  }

  friend void intrusive_ptr_add_ref(Impl* impl) { ++impl->references; }
  friend void intrusive_ptr_release(Impl* impl) {
    if (--impl->references == 0) delete impl;
  }

  Shard& shard;
  Descriptor stream;
  Waker* waker = nullptr;
  std::size_t references = 1;  // the Socket's own
  bool read_armed = false;
  bool write_armed = false;
};

Socket::Socket(Shard& shard, int descriptor) : descriptor_(descriptor) {
  ::fcntl(descriptor, F_SETFL, ::fcntl(descriptor, F_GETFL) | O_NONBLOCK);
  try {
    impl_ = new Impl(shard, descriptor);
  } catch (const std::bad_alloc&) {
    ::close(std::exchange(descriptor_, -1));
    throw;
  } catch (const boost::system::system_error&) {  // the reactor takes no more: for want of memory, or of watches
    ::close(std::exchange(descriptor_, -1));
    throw std::bad_alloc();
  }
}

Socket& Socket::operator=(Socket&& other) noexcept {
  if (this == &other) return *this;
  close();
  impl_ = std::exchange(other.impl_, nullptr);
  descriptor_ = std::exchange(other.descriptor_, -1);
  traffic_ = other.traffic_;
  return *this;
}

Shard& Socket::shard() const { return impl_->shard; }

void Socket::set_waker(Waker* waker) {
  if (impl_ != nullptr) impl_->waker = waker;
}

void Socket::arm_read() { impl_->arm(Impl::Descriptor::wait_read, impl_->read_armed); }
void Socket::arm_write() { impl_->arm(Impl::Descriptor::wait_write, impl_->write_armed); }

void Socket::wake_soon() {
  asio::post(impl_->shard.io(), [self = boost::intrusive_ptr(impl_)] {
    if (self->waker != nullptr) self->waker->wake();
  });
}

bool Socket::read_armed() const { return impl_ != nullptr && impl_->read_armed; }

IoResult Socket::failure(const char* cause) const {
  if (errno == ECONNRESET) traffic_.was_reset = true;
  return {IoState::kFailed, 0, errno, cause};
}

IoResult Socket::read(std::span<char> into) const {
  ssize_t got;
  do {
    got = ::recv(descriptor_, into.data(), into.size(), 0);
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
  std::size_t total = 0;
  for (const iovec& piece : pieces) total += piece.iov_len;
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(pieces.data());
  message.msg_iovlen = pieces.size();
  ssize_t sent;
  do {
    sent = ::sendmsg(descriptor_, &message, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent >= 0) {
    const auto bytes = static_cast<std::size_t>(sent);
    traffic_.sent += bytes;
    return {bytes == total ? IoState::kDone : IoState::kBlocked, bytes};
  }
  if (errno == EAGAIN || errno == EWOULDBLOCK) return {IoState::kBlocked};
  return failure("writing failed");
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
  if (impl_ == nullptr) return;
  impl_->waker = nullptr;
  boost::system::error_code ignored;
  impl_->stream.close(ignored);
  intrusive_ptr_release(std::exchange(impl_, nullptr));
  descriptor_ = -1;
}

int Socket::release() {
  if (impl_ == nullptr) return -1;
  impl_->waker = nullptr;
  const int descriptor = impl_->stream.release();
  intrusive_ptr_release(std::exchange(impl_, nullptr));
  descriptor_ = -1;
  return descriptor;
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
