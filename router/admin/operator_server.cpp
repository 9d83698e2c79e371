#include "router/admin/operator_server.h"

#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <cerrno>
#include <exception>
#include <new>
#include <utility>

#include "router/admin/listening.h"
#include "router/admin/operator_connection.h"
#include "router/admin/operator_connections.h"
#include "router/base/log.h"
#include "router/runtime/descriptors.h"

namespace router::admin {

namespace asio = boost::asio;

class OperatorServer::Impl : public std::enable_shared_from_this<Impl>, private runtime::Timer {
 public:
  Impl(runtime::Shard& control, OperatorServerOptions options, std::vector<OperatorRoute> routes)
      : control_(control),
        options_(std::move(options)),
        served_(std::make_shared<const OperatorConnection::Served>(control, options_, std::move(routes))),
        descriptor_(control.io().get_executor()) {
    control_.schedule(*this, kNever);  // stays in the queue of timers, so that scheduling it cannot fail
  }

  absl::Status start(runtime::PortUse use) {
    absl::StatusOr<Listening> listening = Listening::open(options_.address, use);
    if (!listening.ok()) return listening.status();
    listening_.emplace(std::move(*listening));
    port_ = listening_->port();
    descriptor_.assign(listening_->descriptor());
    wait();
    return absl::OkStatus();
  }

  void retire() {
    accept(kBacklog + 1);  // more than the kernel keeps: no connection is left behind
    close_listener();
    connections_->end_each_after_its_next_answer();
  }

  void stop() {
    close_listener();
    connections_->keep_at_most(0);
  }

  std::uint16_t port() const { return port_; }
  std::size_t connections() const { return connections_->alive(); }

 private:
  void close_listener() {
    if (descriptor_.is_open()) descriptor_.release();  // Listening closes it
    listening_.reset();
  }

  static constexpr std::chrono::milliseconds kRest{100};  // when accepting fails, usually for lack of descriptors
  static constexpr int kAcceptsPerTurn = 64;              // then open connections are served

  void wait() noexcept {
    if (waiting_ || !descriptor_.is_open()) return;
    try {
      descriptor_.async_wait(asio::posix::descriptor_base::wait_read,
                             [self = shared_from_this()](const boost::system::error_code&) {
                               self->waiting_ = false;
                               self->accept(kAcceptsPerTurn);
                             });
      waiting_ = true;
    } catch (const std::bad_alloc&) {
      rest();
    }
  }

  void rest() noexcept { control_.schedule(*this, control_.now() + kRest); }

  void accept(int most) {
    for (int taken = 0; descriptor_.is_open() && taken < most; ++taken) {
      sockaddr_storage peer{};
      socklen_t length = sizeof peer;
      const int descriptor =
          ::accept4(listening_->descriptor(), reinterpret_cast<sockaddr*>(&peer), &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (descriptor >= 0) {
        serve(descriptor, peer.ss_family);
      } else if (errno == EAGAIN) {
        break;
      } else if (errno != EINTR && errno != ECONNABORTED) {
        if (runtime::is_our_shortage(errno)) connections_->make_room();
        return rest();
      }
    }
    wait();
  }

  void serve(int descriptor, int family) {
    connections_->keep_at_most(options_.connections_max - 1);
    if (descriptor >= runtime::operator_descriptors_end()) connections_->make_room();
    try {
      take_over(descriptor, family)->start();
    } catch (const std::exception&) {  // out of memory, or the reactor failed: the operator may connect again
      log::error("memory is short: an operator's connection was closed");
    }
  }

  std::shared_ptr<OperatorConnection> take_over(int descriptor, int family) {
    try {
      return std::make_shared<OperatorConnection>(control_, served_, connections_, descriptor, family);
    } catch (const std::exception&) {
      ::close(descriptor);
      throw;
    }
  }

  void expired() override {
    control_.schedule(*this, kNever);
    wait();
  }

  runtime::Shard& control_;
  const OperatorServerOptions options_;
  const std::shared_ptr<const OperatorConnection::Served> served_;
  const std::shared_ptr<OperatorConnections> connections_ = std::make_shared<OperatorConnections>();
  std::optional<Listening> listening_;
  asio::posix::basic_stream_descriptor<asio::io_context::executor_type> descriptor_;
  std::uint16_t port_ = 0;
  bool waiting_ = false;
};

OperatorServer::OperatorServer(runtime::Shard& control, OperatorServerOptions options, std::vector<OperatorRoute> routes)
    : impl_(std::make_shared<Impl>(control, std::move(options), std::move(routes))) {}

OperatorServer::~OperatorServer() { stop(); }

absl::Status OperatorServer::start(runtime::PortUse use) { return impl_->start(use); }
void OperatorServer::retire() { impl_->retire(); }
void OperatorServer::stop() { impl_->stop(); }
std::uint16_t OperatorServer::port() const { return impl_->port(); }
std::size_t OperatorServer::connections() const { return impl_->connections(); }

}  // namespace router::admin
