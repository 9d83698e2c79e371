#include "router/admin/operator_server.h"

#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <cerrno>
#include <exception>
#include <new>
#include <set>
#include <utility>

#include "router/admin/listening.h"
#include "router/admin/operator_connection.h"
#include "router/base/log.h"

namespace router::admin {

namespace asio = boost::asio;

class OperatorServer::Impl : public std::enable_shared_from_this<Impl>, private runtime::Timer {
 public:
  Impl(runtime::Shard& control, OperatorServerOptions options, std::vector<OperatorRoute> routes)
      : control_(control),
        options_(std::move(options)),
        routes_(std::make_shared<const std::vector<OperatorRoute>>(std::move(routes))),
        descriptor_(control.io().get_executor()) {
    control_.schedule(*this, kNever);  // keeps a place in the queue: resting cannot fail
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
    accept();
    close_listener();
    for (OperatorConnection* connection : connections_) connection->end_after_next_answer();
  }

  void stop() {
    close_listener();
    // A connection that is closed ends when its handler has been told, not before: nobody leaves the set meanwhile.
    for (OperatorConnection* connection : connections_) connection->close();
  }

  std::uint16_t port() const { return port_; }
  std::size_t connections() const { return connections_.size(); }

 private:
  void close_listener() {
    if (descriptor_.is_open()) descriptor_.release();  // Listening closes it
    listening_.reset();
  }

  static constexpr std::chrono::milliseconds kRest{100};  // when accepting fails: usually for want of descriptors

  void wait() noexcept {
    if (waiting_ || !descriptor_.is_open() || connections_.size() >= options_.connections_max) return;
    try {
      descriptor_.async_wait(asio::posix::descriptor_base::wait_read,
                             [self = shared_from_this()](const boost::system::error_code&) {
                               self->waiting_ = false;
                               self->accept();
                             });
      waiting_ = true;
    } catch (const std::bad_alloc&) {
      rest();
    }
  }

  void rest() noexcept { control_.schedule(*this, control_.now() + kRest); }

  void accept() {
    while (descriptor_.is_open() && connections_.size() < options_.connections_max) {
      sockaddr_storage peer{};
      socklen_t length = sizeof peer;
      const int descriptor =
          ::accept4(listening_->descriptor(), reinterpret_cast<sockaddr*>(&peer), &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (descriptor >= 0) {
        serve(descriptor, peer.ss_family);
      } else if (errno == EAGAIN) {
        return wait();
      } else if (errno != EINTR && errno != ECONNABORTED) {
        return rest();
      }
    }
  }

  void serve(int descriptor, int family) {
    try {
      const std::shared_ptr<OperatorConnection> connection = take_over(descriptor, family);
      connections_.insert(connection.get());
      connection->start();
    } catch (const std::exception&) {  // memory, or the reactor's: that operator comes again
      log::error("memory is short: an operator's connection was closed");
    }
  }

  std::shared_ptr<OperatorConnection> take_over(int descriptor, int family) {
    try {
      return std::make_shared<OperatorConnection>(control_, options_, routes_, descriptor, family,
                                                  [self = shared_from_this()](OperatorConnection* ended) {
                                                    self->connections_.erase(ended);
                                                    self->wait();
                                                  });
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
  const OperatorConnection::Routes routes_;
  std::optional<Listening> listening_;
  asio::posix::basic_stream_descriptor<asio::io_context::executor_type> descriptor_;
  std::set<OperatorConnection*> connections_;
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
