#include "router/fleet/votes.h"

#include <algorithm>

namespace router::fleet {

void Votes::clear() {
  asked_.clear();
  given_.clear();
}

void Votes::ask(const std::string& id) {
  if (!asks(id)) asked_[id].round = ++last_round_;
}

const std::set<std::string>* Votes::promised_by(const std::string& id) const {
  const auto found = asked_.find(id);
  return found == asked_.end() ? nullptr : &found->second.promised;
}

void Votes::promised(const std::string& voter, const Vote& vote, bool any_round) {
  const auto found = asked_.find(vote.id);
  if (found != asked_.end() && (any_round || found->second.round == vote.round)) found->second.promised.insert(voter);
}

void Votes::asked_by(const std::string& voter, const std::vector<Vote>& votes) {
  for (auto given = given_.begin(); given != given_.end();) {
    const auto promise = given->second.find(voter);
    const bool asked = promise != given->second.end() &&
                       std::find(votes.begin(), votes.end(), Vote{given->first, promise->second}) != votes.end();
    if (promise != given->second.end() && !asked) given->second.erase(promise);
    given = given->second.empty() ? given_.erase(given) : std::next(given);
  }
}

std::vector<Vote> Votes::own() const {
  std::vector<Vote> votes;
  votes.reserve(asked_.size());
  for (const auto& [id, asked] : asked_) votes.push_back({.id = id, .round = asked.round});
  return votes;
}

std::vector<Vote> Votes::given_to(const std::string& voter) const {
  std::vector<Vote> promises;
  for (const auto& [id, voters] : given_) {
    const auto found = voters.find(voter);
    if (found != voters.end()) promises.push_back({.id = id, .round = found->second});
  }
  return promises;
}

}  // namespace router::fleet
