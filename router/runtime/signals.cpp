#include "router/runtime/signals.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <utility>

namespace router::runtime {

/// Asio's handler refers to it: a signal may have been taken already when the Signals go.
struct Signals::Impl : std::enable_shared_from_this<Impl> {
  explicit Impl(Shard& control) : set(control.io(), SIGTERM, SIGINT, SIGHUP) {}

  void wait() {
    set.async_wait([self = shared_from_this()](const boost::system::error_code& error, int signal) {
      if (error || self->gone) return;
      signal == SIGHUP ? self->reload() : self->end();
      if (!self->gone) self->wait();
    });
  }

  boost::asio::signal_set set;
  std::function<void()> end;
  std::function<void()> reload;
  bool gone = false;
};

Signals::Signals(Shard& control, std::function<void()> end, std::function<void()> reload)
    : impl_(std::make_shared<Impl>(control)) {
  std::signal(SIGPIPE, SIG_IGN);
  impl_->end = std::move(end);
  impl_->reload = std::move(reload);
  impl_->wait();
}

Signals::~Signals() {
  impl_->gone = true;
  boost::system::error_code ignored;
  impl_->set.clear(ignored);
  impl_->set.cancel(ignored);
}

}  // namespace router::runtime
