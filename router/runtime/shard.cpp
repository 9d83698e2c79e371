#include "router/runtime/shard.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <exception>
#include <random>

#include "router/runtime/contain.h"

namespace router::runtime {

namespace asio = boost::asio;

struct Shard::Driver {
  explicit Driver(asio::io_context& io) : timer(io), work(io.get_executor()) {}
  asio::steady_timer timer;
  TimePoint armed_for = kNever;
  asio::executor_work_guard<asio::io_context::executor_type> work;
};

namespace {

thread_local const Shard* running_shard = nullptr;

}  // namespace

Shard::Shard(std::size_t index, const Clock& clock, Time time)
    : index_(index),
      clock_(clock),
      io_(std::make_unique<asio::io_context>(BOOST_ASIO_CONCURRENCY_HINT_UNSAFE_IO)),
      buffers_(thread_),
      poller_(*io_, &thread_),
      inbox_(poller_),
      scratch_(new char[kScratchBytes]),
      random_state_((std::uint64_t{std::random_device{}()} << 32 | std::random_device{}()) | 1),
      timers_(thread_) {
  if (time == Time::kReal) driver_ = std::make_unique<Driver>(*io_);
}

Shard::~Shard() {
  // Messages and handlers that never ran may own objects of this shard, so they are destroyed before the pools.
  inbox_.close();
  driver_.reset();
  poller_.leave_loop();
  io_.reset();
}

void Shard::run() {
  const Shard* outer = std::exchange(running_shard, this);
  thread_.run_here();
  while (!run_until_something_is_thrown()) {
  }
  thread_.run_nowhere();
  running_shard = outer;
}

bool Shard::run_until_something_is_thrown() {
  try {
    if (driver_ && timers_.next() < driver_->armed_for) drive();
    io_->run();
    return true;
  } catch (const std::exception& error) {
    contain(error);
    return false;
  }
}

void Shard::stop() {
  if (!stopping_.exchange(true)) send(stop_);
}

void Shard::Stop::run() {
  shard_.stopping_ = false;
  if (shard_.driver_) shard_.driver_->timer.cancel();
  shard_.io_->stop();
}

bool Shard::on_this_thread() const { return running_shard == this; }

std::uint64_t Shard::random() {
  // xorshift64*: good enough to break ties, and takes two nanoseconds.
  random_state_ ^= random_state_ >> 12;
  random_state_ ^= random_state_ << 25;
  random_state_ ^= random_state_ >> 27;
  return random_state_ * 0x2545F4914F6CDD1DULL;
}

void Shard::schedule(Timer& timer, TimePoint when) {
  timers_.schedule(timer, when);
  if (driver_ && when < driver_->armed_for) drive();
}

/// Arms the Asio timer; tries until there is memory for it, because otherwise no timer of the shard would expire. (Asio reuses
/// the memory of the last time.)
void Shard::drive() noexcept {
  for (;;) {
    try {
      return arm_driver();
    } catch (const std::exception& error) {
      contain(error);
    }
  }
}

void Shard::arm_driver() {
  // A timer that was cancelled or moved to later leaves the Asio timer armed too early: it fires, finds nothing due, and is
  // armed again.
  const TimePoint next = timers_.next();
  driver_->armed_for = kNever;
  if (next == kNever) return;
  driver_->timer.expires_at(next);
  driver_->timer.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    driver_->armed_for = kNever;
    advance_or_contain();
    if (timers_.next() < driver_->armed_for) drive();
  });
  driver_->armed_for = next;
}

void Shard::advance_or_contain() {
  try {
    timers_.advance(now());
  } catch (const std::exception& error) {
    contain(error);  // the remaining timers are still due
  }
}

}  // namespace router::runtime
