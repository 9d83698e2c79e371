#pragma once

#include <absl/functional/any_invocable.h>

#include <atomic>
#include <memory>

#include "router/runtime/poller.h"
#include "router/runtime/waker.h"

namespace router::runtime {

class Inbox;

/// Work to be run on a shard. A message is a part of its sender, so sending it needs no memory and cannot fail. It runs once
/// each time that it is sent, and must not be sent again before that.
///
/// The shard has released the message when `run` is called: from then on it may be sent again, also to another shard, or be
/// destroyed. Destroying a message that has not run removes it from the inbox. This is allowed only on the shard that it was
/// sent to, or while that shard does not run.
class Message {
 public:
  Message() = default;
  Message(const Message&) = delete;
  Message& operator=(const Message&) = delete;
  virtual ~Message();

  /// Whether it was sent and was neither run nor dropped yet. On the shard that it was sent to.
  bool on_its_way() const { return inbox_ != nullptr; }

 protected:
  /// Called on the shard's event loop, not inside a coroutine, so it may wake coroutines. May destroy this message. An
  /// exception is logged.
  virtual void run() = 0;
  /// Called instead of `run` if the shard ends first or has ended. On any thread; inside `send` if the shard has ended. May
  /// destroy this message.
  virtual void dropped() noexcept = 0;

 private:
  friend class Inbox;
  Inbox* inbox_ = nullptr;
  Message* next_ = nullptr;
};

/// Makes a message that frees itself when it was run or dropped. Throws std::bad_alloc; sending it does not.
std::unique_ptr<Message> message_of(absl::AnyInvocable<void()> work);

/// The messages that any thread sends to one shard, in the order of sending: a lock-free stack, which the shard takes as a
/// whole. A message that is sent to an empty stack wakes the shard by an eventfd in the shard's poller. On the shard's own
/// thread, within a turn of the poller, it does so without a system call.
class Inbox final : private Waker {
 public:
  explicit Inbox(Poller& poller);
  Inbox(const Inbox&) = delete;
  Inbox& operator=(const Inbox&) = delete;
  /// Calls `close`.
  virtual ~Inbox();

  /// Any thread. `on_shard`: this is the shard's own thread. The message may be destroyed before this returns.
  void send(Message& message, bool on_shard) noexcept;
  /// Drops all messages that were not run, and every message that is sent later. After the shard has stopped.
  void close() noexcept;

 private:
  friend class Message;
  void wake() override;
  void take_all() noexcept;
  Message* pop() noexcept;
  void withdraw(Message& message) noexcept;

  Poller& poller_;
  const int event_;
  Watch* watch_ = nullptr;
  std::atomic<Message*> sent_{nullptr};  // the newest first
  // Taken by the shard, in the order of sending:
  Message* first_ = nullptr;
  Message* last_ = nullptr;
};

}  // namespace router::runtime
