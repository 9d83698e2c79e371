#pragma once

#include <boost/intrusive/list.hpp>
#include <cstddef>

#include "router/runtime/socket.h"

namespace router::proxy {

/// The TLS handshakes of one shard that are under way, oldest first. Beyond the limit the oldest one whose client keeps us
/// waiting is cut for the newest: an honest client is through in milliseconds, so what is oldest in a flood belongs to the
/// flood. Those that wait for us, with bytes that this shard has not read yet, are spared, so that a thousand honest clients
/// at once do not cut each other; the limit of connections bounds them. One shard.
class Handshakes {
 public:
  /// One handshake under way, from its making to its end. Lives in the coroutine that shakes hands.
  class Entry : public boost::intrusive::list_base_hook<> {
   public:
    /// At most `max` (at least 1) are under way then, and those that wait for us. `socket` is the handshake's.
    Entry(Handshakes& all, runtime::Socket& socket, std::size_t max);
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;
    ~Entry();
    /// It had to make room for another one: end it. Whoever waits is woken from the loop.
    bool cut() const { return cut_; }

   private:
    friend class Handshakes;
    Handshakes& all_;
    runtime::Socket& socket_;
    bool cut_ = false;
  };

  Handshakes() = default;
  Handshakes(const Handshakes&) = delete;
  Handshakes& operator=(const Handshakes&) = delete;

  std::size_t under_way() const { return under_way_.size(); }

 private:
  /// How many are asked, each with a system call, whether they keep us waiting.
  static constexpr int kLooksMax = 8;

  using List = boost::intrusive::list<Entry>;
  void cut_oldest_beyond(std::size_t max);

  List under_way_;  // oldest first
};

}  // namespace router::proxy
