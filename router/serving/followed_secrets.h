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

/// Follows the Secrets that endpoints name, and no others. Up to kAlone Secrets of a namespace are followed one by one, by
/// name, so that a role can be limited to these names. More of them are followed by one watch of the namespace, unless the API
/// server forbids that. Control thread.
class FollowedSecrets {
 public:
  static constexpr std::size_t kAlone = 16;  // of a namespace; more of them are followed by one watch
  // A list of Secrets counts as forbidden if it is refused for kRefusedMax, or for kRefusedLaterMax if it succeeded before. A
  // starting API server refuses some for a second or two. Secrets that were listed stay in force meanwhile.
  static constexpr std::chrono::seconds kRefusedMax{3};
  static constexpr std::chrono::seconds kRefusedLaterMax{60};
  static constexpr std::chrono::minutes kTogetherAgain{5};  // then the next change tries one watch again

  /// Both arguments outlive this.
  FollowedSecrets(Follower& follower, discovery::ClusterState& state) : follower_(follower), state_(state) {}

  /// Follows the Secrets that the endpoints of `joined` name. `others` is the number of all other selections that are
  /// followed. Throws std::bad_alloc; then it may be called again.
  void follow(const discovery::Joined& joined, TimePoint now, std::size_t others);
  bool listed() const;
  /// No event reports that a list was refused, so the state has to be polled.
  struct State {
    bool all_well = true;       // otherwise `look` has to be called again
    bool follows_anew = false;  // `follow` has to be called: some must be followed differently
  };
  State look(TimePoint now);
  void clear();

 private:
  /// The Secrets of one namespace that one watch follows.
  struct Together {
    discovery::ClusterState::Names names;
    Followed followed;
    std::optional<TimePoint> refused_since;  // the first refusal of the list since it last succeeded
  };
  using Wanted = std::map<std::string, std::set<std::string>>;  // by namespace

  void forget_others(const Wanted& wanted);
  void follow(const std::string& namespace_name, const std::set<std::string>& wanted, TimePoint now);
  /// The known content of each Secret stays until the new watch has listed it.
  void follow_together(const std::string& namespace_name, const std::set<std::string>& wanted);
  /// Whether the watch of a namespace's Secrets has been refused for so long that they must be followed one by one.
  static bool may_not_list(Together& secrets, TimePoint now);

  Follower& follower_;
  discovery::ClusterState& state_;
  std::size_t others_ = 0;
  std::map<discovery::ObjectKey, Followed> alone_;
  std::map<std::string, Together> together_;           // by namespace
  std::map<std::string, TimePoint> only_alone_until_;  // namespaces in which listing all Secrets is forbidden
};

}  // namespace router::serving
