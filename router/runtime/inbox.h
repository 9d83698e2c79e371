#pragma once

#include <absl/functional/any_invocable.h>

#include <atomic>
#include <memory>

#include "router/runtime/poller.h"
#include "router/runtime/waker.h"

namespace router::runtime {

class Inbox;

/// Something to be done on a shard. It lives in whoever sends it, so sending it needs no memory and cannot fail. It is run once
/// for each time that it is sent; until then it is not sent again.
///
/// Who receives it hands it over when it is run: from then on it may be sent again, also elsewhere, or be destroyed. A message
/// that is destroyed before it was run is taken back; only on the shard that it was sent to, or while that shard does not run.
class Message {
 public:
  Message() = default;
  Message(const Message&) = delete;
  Message& operator=(const Message&) = delete;
  virtual ~Message();

  /// Sent, and neither run nor dropped yet. On the shard that it was sent to.
  bool on_its_way() const { return inbox_ != nullptr; }

 protected:
  /// On the shard's loop, not inside a coroutine: it may wake some. May destroy this message. What it throws is told in the
  /// log.
  virtual void run() = 0;
  /// Instead of `run`, if the shard ends first or has ended. On any thread; inside `send` if the shard has ended. May destroy
  /// this message.
  virtual void dropped() noexcept = 0;

 private:
  friend class Inbox;
  Inbox* inbox_ = nullptr;
  Message* next_ = nullptr;
};

/// Work as a message that frees itself when it was run or dropped. Throws std::bad_alloc; sending it does not.
std::unique_ptr<Message> message_of(absl::AnyInvocable<void()> work);

/// The messages to one shard, from any thread, in the order in which they were sent: a stack of atomic pointers that the shard
/// takes whole. A message that finds it empty wakes the shard by an eventfd in the shard's poller; on the shard's own thread,
/// within a turn of the poller, without any system call.
class Inbox final : private Waker {
 public:
  explicit Inbox(Poller& poller);
  Inbox(const Inbox&) = delete;
  Inbox& operator=(const Inbox&) = delete;
  /// Closes it.
  virtual ~Inbox();

  /// Any thread; `on_shard`: it is the shard's own. The message may be gone when this returns.
  void send(Message& message, bool on_shard) noexcept;
  /// Drops what was not run, and from now on everything that is sent. The shard does not run any more.
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
  // The shard's, in the order of sending:
  Message* first_ = nullptr;
  Message* last_ = nullptr;
};

}  // namespace router::runtime
