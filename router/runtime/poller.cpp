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

constexpr int kEvents = 128;   // of one look; what is left is the next one's
constexpr int kLaterMax = 32;  // told by one look
constexpr int kLooksMax = 8;   // in one turn; then timers and posted work have theirs
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

/// What a step throws ends that step alone.
template <class Step>
void Poller::take(Step step) noexcept {
  ++steps_;
  try {
    step();
  } catch (const std::exception& error) {
    contain(error);
  }
}

/// Without it the shard would be deaf: so it is tried until there is memory for it. (Asio keeps that of the last time.)
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
  // Where something happens more has often happened by now: the way through the loop would cost three system calls.
  for (int looks = 1, found = look(); looks < kLooksMax && (found > 0 || !waiting_.empty() || !later_.empty()); ++looks)
    found = look();
  if (!waiting_.empty() || !later_.empty()) turn_soon();
  in_turn_ = false;
  forgotten_.clear_and_dispose(std::default_delete<Watch>());
}

/// Tells what has become ready, then those who wait for that, then some of those who come later; how much was ready. Who waits
/// again is told after the next look, so nobody comes twice before others who are ready.
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
