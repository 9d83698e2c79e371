#include "router/runtime/signals.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <csignal>

namespace router::runtime {

struct Signals::Impl {
  explicit Impl(Shard& control) : set(control.io(), SIGTERM, SIGINT, SIGHUP) {}
  void wait() {
    set.async_wait([this](const boost::system::error_code& error, int signal) {
      if (error) return;
      signal == SIGHUP ? reload() : end();
      wait();
    });
  }
  boost::asio::signal_set set;
  std::function<void()> end;
  std::function<void()> reload;
};

Signals::Signals(Shard& control, std::function<void()> end, std::function<void()> reload)
    : impl_(std::make_unique<Impl>(control)) {
  std::signal(SIGPIPE, SIG_IGN);
  impl_->end = std::move(end);
  impl_->reload = std::move(reload);
  impl_->wait();
}

Signals::~Signals() = default;

}  // namespace router::runtime
