#pragma once

#include <boost/intrusive/list.hpp>
#include <cstddef>

#include "router/runtime/socket.h"

namespace router::proxy {

/// The TLS handshakes of one shard that are in progress, oldest first. A new handshake beyond the limit cuts the oldest one
/// whose client has sent nothing that is unread. An honest client finishes within milliseconds, so in a flood of connections
/// the oldest handshakes belong to the flood. A handshake with unread bytes waits for the router and is not cut, so a thousand
/// honest clients at once do not cut each other; the limit of connections bounds those. One shard.
class Handshakes {
 public:
  /// One handshake, from its construction to its end. Lives in the coroutine that performs the handshake.
  class Entry : public boost::intrusive::list_base_hook<> {
   public:
    /// Cuts older handshakes until at most `max` (at least 1) are left, plus those with unread bytes. `socket` is that of the
    /// handshake.
    Entry(Handshakes& all, runtime::Socket& socket, std::size_t max);
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;
    ~Entry();
    /// The handshake was cut to make room for another one: its coroutine must end it. The coroutine is woken from the event
    /// loop.
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
  /// How many handshakes are checked for unread bytes. Each check is a system call.
  static constexpr int kLooksMax = 8;

  using List = boost::intrusive::list<Entry>;
  void cut_oldest_beyond(std::size_t max);

  List under_way_;  // oldest first
};

}  // namespace router::proxy
