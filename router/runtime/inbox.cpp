#include "router/runtime/inbox.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <boost/system/system_error.hpp>
#include <cerrno>
#include <cstdint>
#include <exception>
#include <utility>

#include "router/base/assert.h"
#include "router/runtime/contain.h"

namespace router::runtime {
namespace {

int make_event() {
  const int descriptor = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (descriptor < 0) throw boost::system::system_error(errno, boost::system::system_category(), "eventfd");
  return descriptor;
}

class Work final : public Message {
 public:
  explicit Work(absl::AnyInvocable<void()> work) : work_(std::move(work)) {}

 private:
  void run() override {
    const std::unique_ptr<Work> ends_here(this);
    work_();
  }
  void dropped() noexcept override { delete this; }

  absl::AnyInvocable<void()> work_;
};

/// Marks a closed inbox: it stands there as the newest message.
class Closed final : public Message {
  void run() override {}
  void dropped() noexcept override {}
};
Closed closed;

}  // namespace

std::unique_ptr<Message> message_of(absl::AnyInvocable<void()> work) { return std::make_unique<Work>(std::move(work)); }

Message::~Message() {
  if (inbox_ != nullptr) inbox_->withdraw(*this);
}

Inbox::Inbox(Poller& poller) : poller_(poller), event_(make_event()) {
  try {
    watch_ = poller.watch(event_, Precedence::kFirst);
  } catch (const std::bad_alloc&) {
    ::close(event_);
    throw;
  }
  watch_->set_waker(this);
  watch_->arm_read();
}

Inbox::~Inbox() {
  close();
  poller_.forget(watch_);
  ::close(event_);
}

void Inbox::send(Message& message, bool on_shard) noexcept {
  ROUTER_ASSERT(message.inbox_ == nullptr);
  message.inbox_ = this;
  Message* newest = sent_.load(std::memory_order_relaxed);
  do {
    if (newest == &closed) {
      message.inbox_ = nullptr;
      return message.dropped();
    }
    message.next_ = newest;
  } while (!sent_.compare_exchange_weak(newest, &message, std::memory_order_release, std::memory_order_relaxed));
  if (newest != nullptr) return;  // the sender that found the stack empty wakes the shard
  if (on_shard && poller_.step() != 0) return watch_->wake_soon();
  // The eventfd is edge-triggered: each write is an event, and none has to be read.
  const std::uint64_t one = 1;
  while (::write(event_, &one, sizeof one) < 0 && errno == EINTR) {
  }
}

void Inbox::wake() {
  watch_->note_drained();
  watch_->arm_read();
  take_all();
  while (Message* message = pop()) {
    poller_.begin_step();
    try {
      message->run();
    } catch (const std::exception& error) {
      contain(error);
    }
  }
}

void Inbox::close() noexcept {
  // A message that is dropped may send others.
  for (;;) {
    take_all();
    while (Message* message = pop()) message->dropped();
    Message* none = nullptr;
    if (sent_.compare_exchange_strong(none, &closed) || none == &closed) return;
  }
}

/// Moves the messages that were sent behind those that were taken before.
void Inbox::take_all() noexcept {
  if (sent_.load(std::memory_order_relaxed) == &closed) return;
  Message* newest = sent_.exchange(nullptr, std::memory_order_acquire);
  if (newest == nullptr) return;
  Message* oldest = nullptr;
  for (Message* each = newest; each != nullptr;) {
    Message* before = std::exchange(each->next_, oldest);
    oldest = std::exchange(each, before);
  }
  (last_ != nullptr ? last_->next_ : first_) = oldest;
  last_ = newest;
}

Message* Inbox::pop() noexcept {
  Message* message = first_;
  if (message == nullptr) return nullptr;
  first_ = message->next_;
  if (first_ == nullptr) last_ = nullptr;
  message->next_ = nullptr;
  message->inbox_ = nullptr;
  return message;
}

void Inbox::withdraw(Message& message) noexcept {
  take_all();
  Message* before = nullptr;
  for (Message* each = first_; each != nullptr; before = std::exchange(each, each->next_)) {
    if (each != &message) continue;
    (before != nullptr ? before->next_ : first_) = message.next_;
    if (last_ == &message) last_ = before;
    return;
  }
}

}  // namespace router::runtime
