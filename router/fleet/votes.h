#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "router/fleet/frame.h"

namespace router::fleet {

/// The votes of one epoch (rule 7): members that this one wants to take out and who has promised to follow, and the promises
/// that this one has given. Who has voted or promised acknowledges the member no more, until the vote is withdrawn (which the
/// voter does only while no write that rests on the promises can be under way) or the epoch ends.
class Votes {
 public:
  void clear();  // a new epoch: nothing of the old one counts

  /// This member wants `id` out: a new round begins, if none is open.
  void ask(const std::string& id);
  void withdraw(const std::string& id) { asked_.erase(id); }
  bool asks(const std::string& id) const { return asked_.count(id) > 0; }
  const std::set<std::string>* promised_by(const std::string& id) const;

  /// A promise from `voter`. It counts for the round that is open only (`any_round`: Rules::rounds is off).
  void promised(const std::string& voter, const Vote& vote, bool any_round);

  /// What `voter` asks now: promises to it that it no longer asks for end. Then `agree` for each new one.
  void asked_by(const std::string& voter, const std::vector<Vote>& votes);
  void agree(const std::string& voter, const Vote& vote) { given_[vote.id][voter] = vote.round; }

  /// Whether `id` may be acknowledged.
  bool acknowledges(const std::string& id) const { return !asks(id) && given_.count(id) == 0; }

  std::vector<Vote> own() const;
  std::vector<Vote> given_to(const std::string& voter) const;

 private:
  struct Asked {
    std::uint64_t round = 0;
    std::set<std::string> promised;
  };

  std::uint64_t last_round_ = 0;  // over all epochs
  std::map<std::string, Asked> asked_;
  std::map<std::string, std::map<std::string, std::uint64_t>> given_;  // by the member that is to go, then by voter
};

}  // namespace router::fleet
