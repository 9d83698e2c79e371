#include "router/serving/followed_secrets.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <iterator>
#include <memory>
#include <utility>

#include "router/base/log.h"

namespace router::serving {
namespace {

using discovery::ClusterState;
using discovery::ObjectKey;

const kubernetes::GroupVersionResource kSecrets{"", "v1", "secrets"};

}  // namespace

void FollowedSecrets::follow(const discovery::Joined& joined, TimePoint now, std::size_t others) {
  others_ = others;
  Wanted wanted;
  for (const config::Endpoint& endpoint : joined.endpoints) {
    const bool has_one = endpoint.auth_mode == config::AuthMode::kKey && !endpoint.keys_secret.empty();
    if (has_one) wanted[endpoint.namespace_name].insert(endpoint.keys_secret);
  }
  forget_others(wanted);
  for (const auto& [namespace_name, names] : wanted) follow(namespace_name, names, now);
}

void FollowedSecrets::forget_others(const Wanted& wanted) {
  const auto is_wanted = [&wanted](const std::string& namespace_name, const std::string& name) {
    const auto names = wanted.find(namespace_name);
    return names != wanted.end() && names->second.contains(name);
  };
  for (auto each = alone_.begin(); each != alone_.end();) {
    const ObjectKey& key = each->first;
    const bool stays = is_wanted(key.namespace_name, key.name);
    if (!stays) state_.forget_secret(key);
    each = stays ? std::next(each) : alone_.erase(each);
  }
  for (auto each = together_.begin(); each != together_.end();) {
    const std::string& namespace_name = each->first;
    std::erase_if(*each->second.names, [&](const std::string& name) {
      if (is_wanted(namespace_name, name)) return false;
      state_.forget_secret({namespace_name, name});
      return true;
    });
    each = each->second.names->empty() ? together_.erase(each) : std::next(each);
  }
}

void FollowedSecrets::follow(const std::string& namespace_name, const std::set<std::string>& wanted, TimePoint now) {
  const auto together = together_.find(namespace_name);
  if (together != together_.end() && may_not_list(together->second, now)) {
    only_alone_until_[namespace_name] = now + kTogetherAgain;
    together_.erase(together);
    return follow(namespace_name, wanted, now);
  }
  const std::set<std::string>* followed = together != together_.end() ? together->second.names.get() : nullptr;
  std::set<std::string> alone;
  for (const std::string& name : wanted) {
    if (followed == nullptr || !followed->contains(name)) alone.insert(name);
  }
  const auto only_alone = only_alone_until_.find(namespace_name);
  const bool may_list = only_alone == only_alone_until_.end() || only_alone->second < now;
  if (alone.size() > kAlone && may_list) return follow_together(namespace_name, wanted);
  for (const std::string& name : alone) {
    const ObjectKey key{namespace_name, name};
    if (alone_.contains(key)) continue;
    if (others_ + alone_.size() + together_.size() >= Follower::kMax) {
      return log::error(absl::StrCat("more than ", Follower::kMax, " selections to follow: the Secret ", namespace_name, "/",
                                     name, " is not followed"));
    }
    alone_.emplace(key, follower_.follow({ClusterState::Kind::kSecrets, namespace_name, name}, kSecrets, ""));
  }
}

bool FollowedSecrets::may_not_list(Together& secrets, TimePoint now) {
  const kubernetes::Reflector& reflector = *secrets.followed.reflector;
  if (!reflector.forbidden()) {
    secrets.refused_since.reset();
    return false;
  }
  if (!secrets.refused_since) secrets.refused_since = now;
  return now - *secrets.refused_since >= (reflector.listed() ? kRefusedLaterMax : kRefusedMax);
}

FollowedSecrets::State FollowedSecrets::look(TimePoint now) {
  State state;
  for (auto& [namespace_name, secrets] : together_) {
    if (may_not_list(secrets, now)) state.follows_anew = true;
    state.all_well = state.all_well && secrets.followed.reflector->listed() && !secrets.refused_since;
  }
  return state;
}

void FollowedSecrets::follow_together(const std::string& namespace_name, const std::set<std::string>& wanted) {
  Together next;
  next.names = std::make_shared<std::set<std::string>>(wanted);
  together_.erase(namespace_name);  // first: two watchers must not report the same objects
  std::erase_if(alone_, [&namespace_name](const auto& each) { return each.first.namespace_name == namespace_name; });
  next.followed = follower_.follow({ClusterState::Kind::kSecrets, namespace_name, "", next.names}, kSecrets, "");
  together_.emplace(namespace_name, std::move(next));
}

bool FollowedSecrets::listed() const {
  const auto listed = [](const Followed& each) { return each.reflector->listed(); };
  return std::all_of(alone_.begin(), alone_.end(), [&](const auto& each) { return listed(each.second); }) &&
         std::all_of(together_.begin(), together_.end(), [&](const auto& each) { return listed(each.second.followed); });
}

void FollowedSecrets::clear() {
  alone_.clear();
  together_.clear();
}

}  // namespace router::serving
