#pragma once

#include <chrono>
#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "router/discovery/cluster_join.h"
#include "router/discovery/cluster_state.h"
#include "router/serving/followed.h"

namespace router::serving {

/// The Secrets that are followed: those that endpoints name, and no others. Some of a namespace are followed alone, each by its
/// name, so that a role may name them; if there are more, all of them by one watch of the namespace, unless the API server
/// forbids that. Control thread.
class FollowedSecrets {
 public:
  static constexpr std::size_t kAlone = 16;  // of a namespace; more of them are followed together, by one watch
  // A list of Secrets that is refused for so long is forbidden; a starting API server refuses some for a second or two. Those
  // of one that has listed them stay as they are meanwhile.
  static constexpr std::chrono::seconds kRefusedMax{3};
  static constexpr std::chrono::seconds kRefusedLaterMax{60};
  static constexpr std::chrono::minutes kTogetherAgain{5};  // after that it is asked for again, at the next change

  /// Both outlive this.
  FollowedSecrets(Follower& follower, discovery::ClusterState& state) : follower_(follower), state_(state) {}

  /// From now on those that the endpoints of `joined` name, beside `others` selections that are followed. Throws
  /// std::bad_alloc; then it may be called again.
  void follow(const discovery::Joined& joined, TimePoint now, std::size_t others);
  bool listed() const;
  /// Nobody tells that a list was refused.
  struct State {
    bool all_well = true;       // else it has to be looked at again
    bool follows_anew = false;  // some are to be followed otherwise: by `follow`
  };
  State look(TimePoint now);
  void clear();

 private:
  /// The Secrets of one namespace that are followed together.
  struct Together {
    discovery::ClusterState::Names names;
    Followed followed;
    std::optional<TimePoint> refused_since;  // the list, without a good one since
  };
  using Wanted = std::map<std::string, std::set<std::string>>;  // by namespace

  void forget_others(const Wanted& wanted);
  void follow(const std::string& namespace_name, const std::set<std::string>& wanted, TimePoint now);
  /// What is known of each stays until the new watch has listed it.
  void follow_together(const std::string& namespace_name, const std::set<std::string>& wanted);
  /// Whether a namespace's Secrets, which were to be followed together, may not be listed all, or its list has been refused for
  /// so long that it has to be done without: they are followed alone then.
  static bool may_not_list(Together& secrets, TimePoint now);

  Follower& follower_;
  discovery::ClusterState& state_;
  std::size_t others_ = 0;
  std::map<discovery::ObjectKey, Followed> alone_;
  std::map<std::string, Together> together_;           // by namespace
  std::map<std::string, TimePoint> only_alone_until_;  // namespaces whose Secrets may not be listed all
};

}  // namespace router::serving
