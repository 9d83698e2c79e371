#pragma once

#include <boost/intrusive/list.hpp>
#include <chrono>
#include <cstddef>
#include <optional>

#include "router/base/time.h"
#include "router/proxy/connection_limits.h"
#include "router/runtime/socket.h"

namespace router::proxy {

/// The client connections of one shard that ask for nothing: those that have not sent a byte yet, those that have begun a
/// handshake or a head and not ended it, and those between two requests, each in the order in which they began to wait. When
/// permits run short, one of them makes room for a new one (docs/decisions/0039). One whose bytes have arrived and are not read
/// yet is spared. One shard.
class IdleConnections {
 public:
  enum class Since { kAccepted, kRequest };

  /// One connection. Entering and leaving are O(1), allocate nothing and cannot fail.
  class Entry : public boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>> {
   public:
    /// Both of the connection, and outlive this.
    Entry(IdleConnections& all, runtime::Socket& socket, ConnectionLimits::Permit& permit)
        : all_(all), socket_(socket), permit_(permit) {}
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;

    /// From now on it waits for the client to ask.
    void rest(Since since) {
      leave();
      (since == Since::kAccepted ? all_.silent_ : all_.kept_).push_back(*this);
    }
    /// It has sent the first bytes of a handshake or a head; `now`: for which of them it has been waited for longest.
    void begin(TimePoint now) {
      leave();
      begun_at_ = now;
      all_.begun_.push_back(*this);
    }
    void leave() { unlink(); }
    /// It has lost its permit to another one: end it. Whoever waits is woken from the loop.
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

  /// A beginning that goes on for less makes room only if nothing else does: it may be a client's that has just come.
  static constexpr std::chrono::seconds kBegunGrace{1};

  /// The permit of the connection that has waited longest, which ends: of those that have not sent a byte, else of those that
  /// began something more than kBegunGrace ago, else of those between two requests, else of those that have begun. Nothing if
  /// there is none.
  std::optional<ConnectionLimits::Permit> make_room(TimePoint now);

 private:
  /// How many of each kind are asked, each with a system call, whether bytes have arrived.
  static constexpr int kLooksMax = 8;

  using List = boost::intrusive::list<Entry, boost::intrusive::constant_time_size<false>>;
  static Entry* longest_idle(List& list);

  List silent_;  // have not sent a byte yet
  List begun_;   // a handshake or a head
  List kept_;    // between two requests
};

}  // namespace router::proxy
