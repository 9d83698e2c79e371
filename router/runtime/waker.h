#pragma once

namespace router::runtime {

/// Someone who wants to be told that something has moved: a socket that can be read or written, a grant from a queue.
class Waker {
 public:
  /// From the shard's loop only (handlers of sockets, timers, posts), not inside a coroutine.
  virtual void wake() = 0;

 protected:
  ~Waker() = default;
};

}  // namespace router::runtime
