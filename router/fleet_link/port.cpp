#include "router/fleet_link/port.h"

#include <span>
#include <utility>

namespace router::fleet_link {

using runtime::Address;
using runtime::IoResult;
using runtime::IoState;

FleetPort::FleetPort(runtime::Shard& shard, runtime::ListeningSocket&& listening, TakeLink link, TakeRequests requests,
                     PortOptions options)
    : shard_(shard),
      options_(options),
      link_(std::move(link)),
      requests_(std::move(requests)),
      strangers_(std::make_shared<Strangers>(options.strangers_max)),
      // Those that were evicted need a moment to end, and strangers that shake hands are not greeted any more.
      greeting_(shard, 4 * options.strangers_max),
      port_(listening.port()),
      acceptor_(std::make_unique<runtime::Acceptor>(
          shard, std::move(listening), [this](int descriptor, const Address& from) { accepted(descriptor, from); })) {}

void FleetPort::close() {
  if (acceptor_) acceptor_->accept_what_has_arrived_and_close();
  acceptor_.reset();
}

void FleetPort::accepted(int descriptor, const Address& from) {
  runtime::Descriptor owned(descriptor);
  Newcomer newcomer;
  newcomer.life = std::make_shared<Life>(shard_);
  newcomer.socket = runtime::Socket(shard_, owned.release());
  newcomer.socket.set_waker(&newcomer.life->wakeup());
  newcomer.stay = strangers_->admit(from, newcomer.life);
  greeting_.try_spawn(greet(std::move(newcomer), from));
}

/// Nothing if the connection ended, was evicted or stayed silent.
Task<std::optional<char>> FleetPort::first_byte(Newcomer& newcomer) const {
  const Deadline end = deadline_after(shard_.now(), options_.first_byte_max);
  char byte = 0;
  for (IoResult got = newcomer.socket.read({&byte, 1}); !got.moved(); got = newcomer.socket.read({&byte, 1})) {
    if (got.state != IoState::kBlocked) co_return std::nullopt;
    newcomer.socket.arm_read();
    const bool woken = co_await newcomer.life->wakeup().wait(end);
    if (!woken || newcomer.life->cancelled()) co_return std::nullopt;
  }
  co_return byte;
}

Task<void> FleetPort::greet(Newcomer newcomer, Address from) {
  const std::optional<char> byte = co_await first_byte(newcomer);
  if (!byte) {
    ++counts_.silent;
  } else if (*byte == kLinkByte) {
    ++counts_.links;
    link_(std::move(newcomer));
  } else if (*byte == kRequestsByte) {
    ++counts_.requests;
    newcomer.stay.leave();
    requests_(runtime::Descriptor(newcomer.socket.release()), from);
  } else {
    ++counts_.unknown;
  }
}

}  // namespace router::fleet_link
