#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <list>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "config/config.h"
#include "config/findings.h"
#include "router/proxy/server.h"
#include "router/runtime/accept.h"
#include "router/runtime/inherited_sockets.h"
#include "router/runtime/round.h"
#include "router/runtime/shard_set.h"

namespace router::listening {

/// The open listeners of the data path, and their change to those of another configuration without a gap. A listener is
/// identified by its address and port: if anything else changes (TLS, the PROXY protocol), its sockets stay. If a socket of
/// that address was passed to the process, the listener accepts from it. That socket stays open, since it belongs to the
/// process that passed it. Control thread.
///
/// The order of a change, on each shard: removed listeners accept what has arrived, under the old view, and close. Then the
/// view changes. Then the new sockets accept; the kernel has collected their connections since `prepare`. So every accepted
/// connection is served with the settings of its listener.
class Listeners {
 public:
  /// Address as the kernel writes it, port, and a number, since port 0 may be configured several times.
  using Key = std::tuple<std::string, std::uint16_t, std::size_t>;

  struct Open {
    Key key;
    proxy::ListenerId id;
    std::uint16_t port;
  };
  /// A removed listener that some shard has not closed yet.
  struct Closing {
    std::uint16_t port = 0;
    std::unique_ptr<runtime::Round> round;
  };

  /// A configuration's listeners before they are in force. Its sockets are closed if it never is in force.
  struct Change {
    struct Listener {
      Key key;
      proxy::ListenerId id = 0;
      std::uint16_t port = 0;                         // the actual one if 0 is configured
      std::vector<runtime::ListeningSocket> sockets;  // one for each shard, or more; empty: open already
      bool https = false;
    };
    std::vector<Listener> listeners;  // in the order of router.yaml

   private:
    friend class Listeners;
    // What `close_removed` and `open_added` need, so that they cannot fail.
    std::vector<Open> open_;                                                              // afterwards
    std::list<Closing> closing_;                                                          // removed listeners
    std::vector<std::pair<runtime::Shard*, std::unique_ptr<runtime::Message>>> opening_;  // in that order
    std::vector<std::string> said_of_removed_;
    std::vector<std::string> said_of_added_;
  };

  Listeners(runtime::Shard& control, runtime::ShardSet& shards, std::vector<std::unique_ptr<proxy::ShardServer>>& servers,
            runtime::InheritedSockets inherited)
      : control_(control), shards_(shards), servers_(servers), inherited_(std::move(inherited)) {}

  /// Whether `wanted` needs a socket to be opened or closed.
  bool would_change(const std::vector<config::Listener>& wanted) const;
  /// The ports on which the router listens at an address that `wanted` does not have, and those that are still being closed.
  std::set<std::uint16_t> given_up(const std::vector<config::Listener>& wanted) const;
  /// Opens new listeners. A port of `given_up` may still be in use by this process. What cannot be opened is a mistake in
  /// `findings`, and so is an inherited socket from which no listener would accept.
  Change prepare(const std::vector<config::Listener>& wanted, const std::set<std::uint16_t>& given_up,
                 config::Findings& findings);
  /// To be called before the view without them is published.
  void close_removed(Change& change) noexcept;
  /// To be called after the view with them was published.
  void open_added(Change& change) noexcept;

 private:
  static std::vector<Key> keys_of(const std::vector<config::Listener>& listeners);
  const Open* find(const Key& key) const;
  bool is_inherited(const Key& key) const;
  absl::StatusOr<std::vector<runtime::ListeningSocket>> sockets_of(const config::Listener& wanted, runtime::PortUse use) const;
  void find_unused(const std::vector<config::Listener>& wanted, config::Findings& findings) const;
  void prepare_to_close(const Open& removed, Change& change);
  void prepare_to_open(Change::Listener& added, Change& change);

  runtime::Shard& control_;
  runtime::ShardSet& shards_;
  std::vector<std::unique_ptr<proxy::ShardServer>>& servers_;
  const runtime::InheritedSockets inherited_;
  std::vector<Open> open_;
  mutable std::list<Closing> closing_;
  proxy::ListenerId last_id_ = 0;
};

}  // namespace router::listening
