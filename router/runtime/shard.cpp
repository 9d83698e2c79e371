#include "router/runtime/shard.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <random>

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
}

Shard::Shard(std::size_t index, const Clock& clock, Time time)
    : index_(index),
      clock_(clock),
      io_(std::make_unique<asio::io_context>(BOOST_ASIO_CONCURRENCY_HINT_UNSAFE_IO)),
      scratch_(new char[kScratchBytes]),
      random_state_((std::uint64_t{std::random_device{}()} << 32 | std::random_device{}()) | 1) {
  if (time == Time::kReal) driver_ = std::make_unique<Driver>(*io_);
}

Shard::~Shard() {
  // Handlers that never ran may own what lives on this shard: they go before the pools do.
  driver_.reset();
  io_.reset();
}

void Shard::run() {
  const Shard* outer = std::exchange(running_shard, this);
  io_->run();
  running_shard = outer;
}

void Shard::stop() {
  asio::post(*io_, [this] {
    if (driver_) driver_->timer.cancel();
    io_->stop();
  });
}

void Shard::post(absl::AnyInvocable<void()> work) {
  asio::post(*io_, [work = std::move(work)]() mutable { work(); });
}

bool Shard::on_this_thread() const { return running_shard == this; }

std::uint64_t Shard::random() {
  // xorshift64*: good enough to break ties, and two nanoseconds.
  random_state_ ^= random_state_ >> 12;
  random_state_ ^= random_state_ << 25;
  random_state_ ^= random_state_ >> 27;
  return random_state_ * 0x2545F4914F6CDD1DULL;
}

void Shard::schedule(Timer& timer, TimePoint when) {
  timers_.schedule(timer, when);
  if (driver_ && when < driver_->armed_for) drive();
}

void Shard::drive() {
  // Timers that were cancelled or moved away leave the Asio timer armed too early: it fires, finds nothing due, and is armed
  // anew.
  driver_->armed_for = timers_.next();
  if (driver_->armed_for == kNever) return;
  driver_->timer.expires_at(driver_->armed_for);
  driver_->timer.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    driver_->armed_for = kNever;
    timers_.advance(now());
    if (timers_.next() < driver_->armed_for) drive();
  });
}

}  // namespace router::runtime
