#include "router/fleet_link/prober.h"

#include <linux/errqueue.h>
#include <linux/tcp.h>  // the C library's <netinet/tcp.h> lacks tcpi_segs_in; the two headers conflict
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <utility>

#include "router/runtime/descriptor.h"
#include "router/runtime/socket.h"

namespace router::fleet_link {
namespace {

using runtime::Address;
using runtime::Cancellation;

/// A socket that keeps ICMP errors apart. Not open: this machine is short of something.
runtime::Descriptor socket_for(const Address& address) {
  runtime::Descriptor made(::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const int on = 1;
  const bool v6 = address.family() == AF_INET6;
  ::setsockopt(made.get(), v6 ? int{IPPROTO_IPV6} : int{IPPROTO_IP}, v6 ? IPV6_RECVERR : IP_RECVERR, &on, sizeof on);
  return made;
}

bool has_queued_error(int descriptor) {
  std::array<char, 512> control;
  char byte;
  iovec piece{&byte, 1};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  return ::recvmsg(descriptor, &message, MSG_ERRQUEUE | MSG_DONTWAIT) >= 0;
}

/// Whether a TCP segment has arrived on the connection. An ICMP message is none. Kernels before 5.11 do not queue the ICMP
/// error of a connection attempt, so the queue alone proves nothing there.
bool has_segment(int descriptor) {
  tcp_info info{};
  socklen_t size = sizeof info;
  constexpr std::size_t kNeeded = offsetof(tcp_info, tcpi_segs_in) + sizeof info.tcpi_segs_in;
  if (::getsockopt(descriptor, IPPROTO_TCP, TCP_INFO, &info, &size) != 0 || size < kNeeded) return false;
  return info.tcpi_segs_in > 0;
}

/// The answer to an attempt that has ended with `error`.
Knock answer_of(int descriptor, int error) {
  if (error != ECONNREFUSED) return Knock::kUnrelated;
  return has_segment(descriptor) && !has_queued_error(descriptor) ? Knock::kRefused : Knock::kUnrelated;
}

}  // namespace

Task<Knock> knock(Cancellation& cancellation, Address address, Deadline deadline) {
  runtime::Descriptor opened = socket_for(address);
  if (!opened.is_open()) co_return Knock::kUnrelated;
  const int connected = ::connect(opened.get(), address.get(), address.length());
  // A non-blocking attempt fails at once for a reason of this machine only: no route, no port.
  if (connected != 0 && errno != EINPROGRESS) co_return Knock::kUnrelated;
  runtime::Socket socket(cancellation.shard(), opened.release());
  socket.set_waker(&cancellation.wakeup());
  int error = 0;
  while (!socket.is_connected(error)) {
    if (error != 0) co_return answer_of(socket.descriptor(), error);
    socket.arm_write();
    const bool woken = co_await cancellation.wakeup().wait(deadline);
    if (!woken || cancellation.cancelled()) co_return Knock::kUnrelated;
  }
  socket.reset();  // whatever answers need not wait for a byte
  co_return Knock::kAccepted;
}

Task<bool> prove_dead(Cancellation& cancellation, Address address, ProbeOptions options) {
  const Deadline end = deadline_after(cancellation.now(), options.total);
  int refused = 0;
  while (!cancellation.cancelled() && cancellation.now() < end) {
    const Deadline answer_by = std::min(end, deadline_after(cancellation.now(), options.each));
    const Knock answer = co_await knock(cancellation, address, answer_by);
    refused = answer == Knock::kRefused ? refused + 1 : 0;
    if (refused == 2) co_return true;
    const Deadline next = deadline_after(cancellation.now(), options.between);
    while (!cancellation.cancelled() && cancellation.now() < next) co_await cancellation.wakeup().wait(next);
  }
  co_return false;
}

}  // namespace router::fleet_link
