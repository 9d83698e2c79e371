#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "router/base/text.h"
#include "router/fleet/frame.h"
#include "router/fleet/time.h"

namespace router::fleet {

/// Connections to pods that other members have open, as they told (rule 9), and those of members that are gone, until they
/// cannot run any more (rule 10). A change costs as much as the report that it brings, whatever the other members told.
class BusyBook {
 public:
  /// Replaces what `member` told before.
  void tell(const std::string& member, BusyPods pods);

  /// The member is gone: what it told counts until `until`.
  void quarantine(const std::string& member, BootTime until);

  /// Ends what has passed. Whether anything changed.
  bool expire(BootTime now);
  BootTime next_end() const { return gone_.empty() ? kAlways : gone_.begin()->first; }

  std::uint64_t busy(std::string_view pod) const;
  std::uint64_t told_by(const std::string& member) const;
  std::uint64_t total() const { return total_; }

 private:
  void add(const BusyPods& pods);
  void remove(const BusyPods& pods);

  std::unordered_map<std::string, std::uint64_t, TextHash, std::equal_to<>> sums_;
  std::unordered_map<std::string, BusyPods> told_;
  std::multimap<BootTime, BusyPods> gone_;
  std::uint64_t total_ = 0;
};

}  // namespace router::fleet
