#include "router/runtime/accept.h"

#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <cerrno>
#include <climits>
#include <cstring>
#include <new>
#include <optional>
#include <utility>

#include "router/base/log.h"
#include "router/runtime/descriptors.h"
#include "router/runtime/memory_reserve.h"

namespace router::runtime {

namespace asio = boost::asio;

namespace {

constexpr int kBacklog = 4096;
constexpr int kAcceptsPerTurn = 64;  // then other work of the shard runs
/// Bytes that the kernel buffers for one client beyond those in flight (tcp(7), TCP_NOTSENT_LOWAT): as many as a shard passes
/// on in one step. Bytes in flight are not limited by it, so it does not slow a distant client. Without it, a client that does
/// not read could fill the send buffer, up to 4 MB.
constexpr int kUnsentMax = 256 * 1024;
constexpr std::chrono::milliseconds kPause{100};  // when descriptors or memory run short

absl::Status failure(const Address& address, const char* what) {
  const int error = errno;
  return absl::UnavailableError(absl::StrCat("cannot listen on ", address.text(), ": ", what, ": ", std::strerror(error)));
}

void set_what_accepted_sockets_inherit(int descriptor) {
  const int on = 1;
  ::setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  ::setsockopt(descriptor, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &kUnsentMax, sizeof kUnsentMax);
}

/// Returns a bound socket, or the error. `shared`: other sockets may bind the same port.
absl::StatusOr<Descriptor> bind_to(const Address& address, bool shared) {
  Descriptor socket(::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket.is_open()) return failure(address, "socket");
  const int on = 1;
  ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (shared) ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
  set_what_accepted_sockets_inherit(socket.get());
  if (::bind(socket.get(), address.get(), address.length()) != 0) return failure(address, "bind");
  return socket;
}

/// With SO_REUSEPORT another process of the same user could listen there too, and would silently get half of the requests. So
/// this binds the port without sharing first.
absl::Status nobody_else_listens_on(const Address& address) { return bind_to(address, false).status(); }

absl::StatusOr<ListeningSocket> listen_once(const Address& address) {
  absl::StatusOr<Descriptor> socket = bind_to(address, true);
  if (!socket.ok()) return socket.status();
  if (::listen(socket->get(), kBacklog) != 0) return failure(address, "listen");
  return ListeningSocket(*std::move(socket));
}

/// An empty `text` means every address: `::`, which accepts IPv4 too, or 0.0.0.0 if the machine has no IPv6.
std::optional<Address> address_of(const std::string& text, std::uint16_t port) {
  if (!text.empty()) return Address::parse(text, port);
  const int ipv6 = ::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (ipv6 < 0) return Address::parse("0.0.0.0", port);
  ::close(ipv6);
  return Address::parse("::", port);
}

/// Whether no connection is waiting, or the listening socket is closed. Any other error concerns one connection that was lost
/// while it waited (accept(2), "Error handling"); the next one may be good.
bool is_end(int error) { return error == EAGAIN || error == EWOULDBLOCK || error == EBADF || error == EINVAL; }

Address local_address(int descriptor) {
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  ::getsockname(descriptor, reinterpret_cast<sockaddr*>(&storage), &length);
  return Address::from(reinterpret_cast<const sockaddr*>(&storage), length);
}

}  // namespace

absl::StatusOr<std::vector<ListeningSocket>> listen_on(const std::string& address, std::uint16_t port, std::size_t shards,
                                                       PortUse use) {
  std::optional<Address> where = address_of(address, port);
  if (!where) return absl::InvalidArgumentError(absl::StrCat("cannot listen on ", address, ": it is not an IP address"));
  if (port != 0 && use == PortUse::kMustBeFree) {
    if (absl::Status free = nobody_else_listens_on(*where); !free.ok()) return free;
  }
  std::vector<ListeningSocket> listening;
  for (std::size_t i = 0; i < shards; ++i) {
    absl::StatusOr<ListeningSocket> socket = listen_once(*where);
    if (!socket.ok()) return socket.status();
    listening.push_back(*std::move(socket));
    where = local_address(listening.back().descriptor());  // the other sockets share the port of the first one
  }
  return listening;
}

void prepare_to_accept(int descriptor) {
  ::fcntl(descriptor, F_SETFD, FD_CLOEXEC);
  ::fcntl(descriptor, F_SETFL, ::fcntl(descriptor, F_GETFL) | O_NONBLOCK);
  set_what_accepted_sockets_inherit(descriptor);
}

std::uint16_t ListeningSocket::port() const { return local_address(descriptor_.get()).port(); }

struct Acceptor::Impl : std::enable_shared_from_this<Impl> {
  class Resume final : public Timer {
   public:
    explicit Resume(Impl& owner) : owner_(owner) {}

   private:
    void expired() override {
      owner_.shard.schedule(*this, kNever);
      owner_.look_again();
    }
    Impl& owner_;
  };

  Impl(Shard& owner, int listening, Accepted callback)
      : shard(owner), accepted(std::move(callback)), stream(owner.io().get_executor()), resume(*this) {
    shard.schedule(resume, kNever);  // reserves an entry in the timer queue: `pause` cannot fail
    stream.assign(listening);        // last: if anything before throws, the caller still owns the descriptor
  }

  void arm() {
    stream.async_wait(asio::posix::descriptor_base::wait_read,
                      [self = shared_from_this()](const boost::system::error_code& error) {
                        if (error || !self->stream.is_open()) return;
                        self->accept_some(kAcceptsPerTurn, client_descriptors_end()) ? self->go_on() : self->pause();
                      });
  }

  void pause() noexcept { shard.schedule(resume, shard.now() + kPause); }

  void go_on() noexcept {
    try {
      arm();
    } catch (const std::bad_alloc&) {
      pause();
    }
  }

  void look_again() {
    if (!stream.is_open()) return;
    has_client_descriptors() && !memory_is_short() ? go_on() : pause();
  }

  /// False if there was no memory for the connection.
  bool hand_over(int descriptor, const Address& peer) {
    try {
      accepted(descriptor, peer);
      return true;
    } catch (const std::bad_alloc&) {
      log::error("memory is short: a connection was closed");
      return false;
    }
  }

  /// Accepts at most `most` connections. False if memory or descriptors run short, or if only the reserved descriptors from
  /// `end` on are left.
  bool accept_some(int most, int end) {
    if (memory_is_short()) return false;
    for (int taken = 0; taken < most; ++taken) {
      sockaddr_storage storage{};
      socklen_t length = sizeof storage;
      const int descriptor =
          ::accept4(stream.native_handle(), reinterpret_cast<sockaddr*>(&storage), &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (descriptor < 0) {
        if (is_our_shortage(errno)) return false;
        if (is_end(errno)) return true;
        continue;
      }
      if (!hand_over(descriptor, Address::from(reinterpret_cast<const sockaddr*>(&storage), length))) return false;
      if (descriptor >= end) return false;
    }
    return true;
  }

  Shard& shard;
  Accepted accepted;
  asio::posix::basic_stream_descriptor<asio::io_context::executor_type> stream;
  Resume resume;
};

Acceptor::Acceptor(Shard& shard, ListeningSocket& listening, Accepted accepted)
    : impl_(std::make_shared<Impl>(shard, listening.descriptor(), std::move(accepted))), port_(listening.port()) {
  static_cast<void>(listening.release());
  impl_->go_on();
}

Acceptor::Acceptor(Shard& shard, ListeningSocket&& listening, Accepted accepted)
    : Acceptor(shard, listening, std::move(accepted)) {}

Acceptor::~Acceptor() {
  boost::system::error_code ignored;
  impl_->stream.close(ignored);
}

void Acceptor::accept_what_has_arrived_and_close() {
  if (!impl_->stream.is_open()) return;
  impl_->accept_some(kBacklog + 1, INT_MAX);  // more than the backlog holds: no connection is left waiting
  boost::system::error_code ignored;
  impl_->stream.close(ignored);
}

}  // namespace router::runtime
