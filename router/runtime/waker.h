#pragma once

namespace router::runtime {

/// Is notified when something has changed: a socket is readable or writable, a queue has granted a slot.
class Waker {
 public:
  /// Called only from the shard's event loop (handlers of sockets, timers, messages), not inside a coroutine.
  virtual void wake() = 0;

 protected:
  ~Waker() = default;
};

}  // namespace router::runtime
