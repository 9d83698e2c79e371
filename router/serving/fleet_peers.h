#pragma once

#include <absl/status/status.h>

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "router/base/time.h"
#include "router/fleet/assignment.h"
#include "router/upstream/peers.h"
#include "tls/psk.h"

namespace router::serving {

/// The other members of the fleet as the data path sends requests to them. The index of a member never changes its meaning
/// while the process lives. Control thread.
class FleetPeers {
 public:
  /// `clock` outlives every peer.
  FleetPeers(std::size_t shards, const Clock& clock) : shards_(shards), clock_(clock) {}

  /// Connections that are opened from now on use these keys. On an error nothing changes. Throws std::bad_alloc.
  absl::Status replace_keys(const tls::PskKeys& keys);

  /// Follows the members of a report: one that is gone, proven dead, or was not met yet, is nullptr. Returns whether `current`
  /// is another list now. Without keys there are no peers. Throws std::bad_alloc; nothing has changed then.
  bool follow(const fleet::Report& report);
  /// The index of a member, also of one that was never reported. Throws std::bad_alloc.
  std::int32_t index_of(const std::string& member);
  /// Never nullptr.
  const std::shared_ptr<const upstream::Peers>& current() const { return current_; }

 private:
  std::shared_ptr<upstream::Peer> make(const fleet::Member& member) const;

  const std::size_t shards_;
  const Clock& clock_;
  std::shared_ptr<const upstream::Transport> transport_;  // nullptr: no keys yet
  std::unordered_map<std::string, std::int32_t> indices_;
  std::vector<std::string> addresses_;                                // by index, of the peers in `current_`
  std::vector<std::shared_ptr<const upstream::Transport>> security_;  // by index, likewise
  std::shared_ptr<const upstream::Peers> current_ = std::make_shared<const upstream::Peers>();
};

}  // namespace router::serving
