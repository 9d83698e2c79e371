#pragma once

#include <boost/intrusive/list.hpp>
#include <chrono>
#include <cstddef>
#include <optional>

#include "router/base/time.h"
#include "router/proxy/connection_limits.h"
#include "router/runtime/socket.h"

namespace router::proxy {

/// The idle client connections of one shard, in three lists: those that have not sent a byte yet, those that have begun but not
/// finished a handshake or a head, and those between two requests. Each list is in the order in which the connections began to
/// wait. When permits run short, one of them is closed for a new one (docs/decisions/0039). A connection with unread bytes is
/// not closed. One shard.
class IdleConnections {
 public:
  enum class Since { kAccepted, kRequest };

  /// One connection. Entering and leaving a list is O(1), allocates nothing and cannot fail.
  class Entry : public boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>> {
   public:
    /// Both belong to the connection and outlive this.
    Entry(IdleConnections& all, runtime::Socket& socket, ConnectionLimits::Permit& permit)
        : all_(all), socket_(socket), permit_(permit) {}
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;

    /// The connection now waits for the next handshake or request.
    void rest(Since since) {
      leave();
      (since == Since::kAccepted ? all_.silent_ : all_.kept_).push_back(*this);
    }
    /// The connection has sent the first bytes of a handshake or a head at `now`.
    void begin(TimePoint now) {
      leave();
      begun_at_ = now;
      all_.begun_.push_back(*this);
    }
    void leave() { unlink(); }
    /// The connection has lost its permit to another one: its coroutine must close it. The coroutine is woken from the event
    /// loop.
    bool cut() const { return cut_; }

   private:
    friend class IdleConnections;
    IdleConnections& all_;
    runtime::Socket& socket_;
    ConnectionLimits::Permit& permit_;
    TimePoint begun_at_{};
    bool cut_ = false;
  };

  IdleConnections() = default;
  IdleConnections(const IdleConnections&) = delete;
  IdleConnections& operator=(const IdleConnections&) = delete;

  /// A handshake or head that began less than this ago is cut last: its client may have just arrived.
  static constexpr std::chrono::seconds kBegunGrace{1};

  /// Closes the connection that has waited longest and returns its permit. The lists are searched in this order: connections
  /// that have not sent a byte, those whose handshake or head began more than kBegunGrace ago, those between two requests,
  /// other handshakes and heads. Returns nothing if there is no such connection.
  std::optional<ConnectionLimits::Permit> make_room(TimePoint now);

 private:
  /// How many connections of each list are checked for unread bytes. Each check is a system call.
  static constexpr int kLooksMax = 8;

  using List = boost::intrusive::list<Entry, boost::intrusive::constant_time_size<false>>;
  static Entry* longest_idle(List& list);

  List silent_;  // have not sent a byte yet
  List begun_;   // have begun a handshake or a head
  List kept_;    // between two requests
};

}  // namespace router::proxy
