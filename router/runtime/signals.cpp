#include "router/runtime/signals.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <exception>
#include <utility>

#include "router/runtime/contain.h"

namespace router::runtime {

/// Shared with Asio's handler: a signal may have arrived already when the Signals are destroyed.
struct Signals::Impl : std::enable_shared_from_this<Impl> {
  explicit Impl(Shard& control) : set(control.io(), SIGTERM, SIGINT, SIGHUP) {}

  /// Waits for the next signal; tries until there is memory for it, because otherwise the process would handle no more signals.
  void wait() noexcept {
    for (;;) {
      try {
        return set.async_wait([self = shared_from_this()](const boost::system::error_code& error, int signal) {
          if (error || self->gone) return;
          self->wait();  // first: the call may throw
          signal == SIGHUP ? self->reload() : self->end();
        });
      } catch (const std::exception& error) {
        contain(error);
      }
    }
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
