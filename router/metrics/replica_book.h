#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "router/base/time.h"
#include "router/metrics/process_figures.h"

namespace router::metrics {

/// Decides which replicas have metrics of their own, so that the number of series is bounded whatever discovery finds. A
/// replica that has them keeps them; a new one gets them while there is room. A replica that is gone keeps its last figures
/// for a while, but makes room before a new one goes without. Control thread.
class ReplicaBook {
 public:
  /// Records the present replicas, one entry for each name: several replicas of one name (a pod and its successor at the same
  /// address) are added up. `kept`: how long replicas that are gone stay.
  void update(const std::vector<ReplicaFigures>& present, std::size_t max, TimePoint now, Duration kept);
  void clear() noexcept { entries_.clear(); }

  /// In the order of their names.
  std::vector<ReplicaFigures> shown() const;
  /// How many of the present replicas found no room at the last update.
  std::size_t left_out() const { return left_out_; }

 private:
  using Key = std::tuple<std::string, std::string, std::string>;  // endpoint, deployment, replica
  struct Entry {
    ReplicaFigures figures;
    std::optional<TimePoint> gone_since{};
  };
  void make_room(std::size_t max, std::size_t more);
  void forget(TimePoint now, Duration kept);

  std::map<Key, Entry> entries_;
  std::size_t left_out_ = 0;
};

}  // namespace router::metrics
