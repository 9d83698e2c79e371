#include "router/runtime/poller.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/system/system_error.hpp>
#include <cerrno>
#include <exception>
#include <new>
#include <utility>

#include "router/runtime/contain.h"
#include "router/runtime/wakeup.h"

namespace router::runtime {

namespace asio = boost::asio;

namespace {

constexpr int kEvents = 128;   // of one poll; the next one returns the rest
constexpr int kLaterMax = 32;  // notified by one poll
constexpr int kLooksMax = 8;   // polls in one turn; then timers and posted work run
constexpr std::uint32_t kAll = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;

int make_epoll() {
  const int descriptor = ::epoll_create1(EPOLL_CLOEXEC);
  if (descriptor < 0) throw boost::system::system_error(errno, boost::system::system_category(), "epoll_create1");
  return descriptor;
}

}  // namespace

struct Poller::Loop {
  Loop(asio::io_context& context, int epoll) : io(context), descriptor(context.get_executor(), epoll) {}
  asio::io_context& io;
  asio::posix::basic_stream_descriptor<asio::io_context::executor_type> descriptor;
};

/// Runs one step. An exception ends only this step.
template <class Step>
void Poller::take(Step step) noexcept {
  ++steps_;
  try {
    step();
  } catch (const std::exception& error) {
    contain(error);
  }
}

/// Repeats a step without which the shard would get no more events, until there is memory for it. (Asio reuses the memory of
/// the last time.)
template <class Step>
void Poller::insist(Step step) noexcept {
  for (bool done = false; !done;) {
    take([&step, &done] {
      step();
      done = true;
    });
  }
}

Poller::Poller(asio::io_context& loop, const ShardLocal* of)
    : of_(of), descriptor_(make_epoll()), loop_(std::make_unique<Loop>(loop, descriptor_)) {
  arm();
}

Poller::~Poller() = default;

void Poller::leave_loop() { loop_.reset(); }

Watch* Poller::watch(int descriptor, Precedence precedence) {
  assert_here();
  auto made = std::make_unique<Watch>(*this, precedence);
  epoll_event event{};
  event.events = kAll;
  event.data.ptr = made.get();
  if (::epoll_ctl(descriptor_, EPOLL_CTL_ADD, descriptor, &event) != 0) throw std::bad_alloc();
  return made.release();
}

void Poller::forget(Watch* watch) noexcept {
  assert_here();
  watch->unlink();
  watch->waker_ = nullptr;
  if (!in_turn_) {
    delete watch;
    return;
  }
  forgotten_.push_back(*watch);
}

void Poller::release(Watch* watch, int descriptor) noexcept {
  ::epoll_ctl(descriptor_, EPOLL_CTL_DEL, descriptor, nullptr);
  forget(watch);
}

void Poller::notify_soon(Watch& watch) noexcept {
  if (watch.is_linked()) return;
  waiting_.push_back(watch);
  if (!in_turn_) turn_soon();
}

void Poller::turn_soon() noexcept {
  if (turn_comes_ || loop_ == nullptr) return;
  insist([this] {
    asio::post(loop_->io, [this] {
      turn_comes_ = false;
      turn();
    });
  });
  turn_comes_ = true;
}

void Poller::turn() {
  in_turn_ = true;
  // After events there are often more by now. Another poll saves the three system calls of a way through the event loop.
  for (int looks = 1, found = look(); looks < kLooksMax && (found > 0 || !waiting_.empty() || !later_.empty()); ++looks)
    found = look();
  if (!waiting_.empty() || !later_.empty()) turn_soon();
  in_turn_ = false;
  forgotten_.clear_and_dispose(std::default_delete<Watch>());
}

/// Notifies the kFirst watches that have become ready, then `waiting_`, then some of `later_`. Returns the number of events. A
/// watch that is queued meanwhile is notified after the next poll, so none is notified twice before others that are ready.
int Poller::look() {
  std::array<epoll_event, kEvents> events;
  const int found = ::epoll_wait(descriptor_, events.data(), kEvents, 0);
  for (int i = 0; i < found; ++i) {
    const epoll_event& event = events[static_cast<std::size_t>(i)];
    Watch& watch = *static_cast<Watch*>(event.data.ptr);
    watch.note(event.events);
    if (watch.precedence_ == Precedence::kFirst) {
      take([&watch] { watch.notify(); });
    } else if (!watch.is_linked()) {
      later_.push_back(watch);
    }
  }
  Watches now;
  now.swap(waiting_);
  while (!now.empty()) {
    Watch& next = now.front();
    now.pop_front();
    take([&next] { next.notify(); });
  }
  for (int told = 0; told < kLaterMax && !later_.empty(); ++told) {
    Watch& next = later_.front();
    later_.pop_front();
    take([&next] { next.notify(); });
  }
  return found;
}

void Poller::arm() noexcept {
  insist([this] {
    loop_->descriptor.async_wait(asio::posix::descriptor_base::wait_read, [this](const boost::system::error_code& error) {
      if (error) return;
      arm();
      turn();
    });
  });
}

void Watch::arm_read() {
  poller_.assert_here();
  if (read_armed_) return;
  read_armed_ = true;
  if (readable_) poller_.notify_soon(*this);
}

void Watch::arm_write() {
  poller_.assert_here();
  if (write_armed_) return;
  write_armed_ = true;
  if (writable_) poller_.notify_soon(*this);
}

void Watch::wake_soon() {
  poller_.assert_here();
  woken_ = true;
  poller_.notify_soon(*this);
}

void Watch::note(std::uint32_t events) {
  if ((events & (EPOLLHUP | EPOLLERR)) != 0) is_over_ = true;
  if (is_over_ || (events & EPOLLRDHUP) != 0) has_ended_ = true;
  if (has_ended_ || (events & EPOLLIN) != 0) readable_ = true;
  if (is_over_ || (events & EPOLLOUT) != 0) writable_ = true;
}

void Watch::notify() {
  bool wakes = std::exchange(woken_, false);
  if (readable_ && std::exchange(read_armed_, false)) wakes = true;
  if (writable_ && std::exchange(write_armed_, false)) wakes = true;
  if (wakes && waker_ != nullptr) waker_->wake();
}

}  // namespace router::runtime
