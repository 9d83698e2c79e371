#include "router/discovery/cluster_state.h"

#include <algorithm>
#include <boost/json/value.hpp>
#include <utility>

#include "config/findings.h"
#include "config/resource.h"
#include "router/base/assert.h"
#include "router/discovery/read_objects.h"

namespace router::discovery {

/// Passes the objects of one scope to the state.
class ClusterState::Feed final : public kubernetes::Watcher {
 public:
  Feed(ClusterState& state, Scope scope) : state_(state), scope_(std::move(scope)) { state_.feeds_.insert(this); }
  ~Feed() override { state_.feeds_.erase(this); }

  void listed(std::vector<boost::json::object> objects) override {
    std::set<ObjectKey> there;
    for (const boost::json::object& object : objects) {
      ObjectKey key = key_of(object);
      if (!is_wanted(key)) continue;
      state_.put(scope_.kind, object);
      there.insert(std::move(key));
    }
    for (const ObjectKey& key : state_.known(scope_)) {
      if (is_wanted(key) && !there.contains(key)) state_.remove(scope_.kind, key);
    }
    if (std::exchange(listed_, true)) return;
    state_.mark_resources();  // even if this list is empty: the start waits for the first lists
  }
  void changed(boost::json::object object) override {
    if (is_wanted(key_of(object))) state_.put(scope_.kind, object);
  }
  void removed(boost::json::object object) override {
    if (const ObjectKey key = key_of(object); is_wanted(key)) state_.remove(scope_.kind, key);
  }

  bool was_listed() const { return listed_; }
  Kind kind() const { return scope_.kind; }

 private:
  bool is_wanted(const ObjectKey& key) const { return scope_.names == nullptr || scope_.names->contains(key.name); }

  ClusterState& state_;
  const Scope scope_;
  bool listed_ = false;
};

namespace {

const char* name_of(ClusterState::Kind kind) {
  switch (kind) {
    case ClusterState::Kind::kEndpoints: return "OnlineEndpoint";
    case ClusterState::Kind::kDeployments: return "OnlineDeployment";
    case ClusterState::Kind::kSlices: return "EndpointSlice";
    case ClusterState::Kind::kPods: return "Pod";
    case ClusterState::Kind::kSecrets: return "Secret";
  }
  return "";
}

config::EndpointDocument read(const boost::json::object& object, config::Findings& findings, config::EndpointDocument*) {
  return config::read_endpoint_resource(object, findings);
}
config::DeploymentDocument read(const boost::json::object& object, config::Findings& findings, config::DeploymentDocument*) {
  config::DeploymentDocument document = config::read_deployment_resource(object, findings);
  document.deployment.tags.clear();  // they are not used here, and each version of each table would contain a copy
  return document;
}

/// The approximate size as JSON: names and strings, and a few bytes for each value. The parser has bounded the depth.
std::size_t bytes_of(const boost::json::value& value) {
  std::size_t bytes = 8;
  if (value.is_string()) return bytes + value.get_string().size();
  if (value.is_array()) {
    for (const boost::json::value& each : value.get_array()) bytes += bytes_of(each);
  } else if (value.is_object()) {
    for (const auto& [key, each] : value.get_object()) bytes += key.size() + bytes_of(each);
  }
  return bytes;
}

std::size_t spec_bytes(const boost::json::object& object) {
  const boost::json::value* spec = object.if_contains("spec");
  return spec != nullptr ? bytes_of(*spec) : 0;
}

/// Compares everything but the version, which also changes when only a label has changed.
bool say_the_same(const SecretKeys& a, const SecretKeys& b) {
  const auto same_key = [](const config::Secret& one, const config::Secret& other) {
    return one.value == other.value && one.name == other.name;
  };
  return std::equal(a.keys.begin(), a.keys.end(), b.keys.begin(), b.keys.end(), same_key) && a.refused == b.refused &&
         a.has_primary == b.has_primary && a.has_secondary == b.has_secondary && a.owners == b.owners;
}

template <class Map>
void add_known(const Map& all, const ClusterState::Scope& scope, std::vector<ObjectKey>& into) {
  for (auto each = all.lower_bound(ObjectKey{scope.namespace_name, scope.name}); each != all.end(); ++each) {
    const ObjectKey& key = each->first;
    if (!scope.namespace_name.empty() && key.namespace_name != scope.namespace_name) break;
    if (!scope.name.empty() && key.name != scope.name) break;
    into.push_back(key);
  }
}

}  // namespace

ClusterState::~ClusterState() { ROUTER_ASSERT(feeds_.empty()); }

std::unique_ptr<kubernetes::Watcher> ClusterState::watcher(Scope scope) {
  return std::make_unique<Feed>(*this, std::move(scope));
}

void ClusterState::forget_secret(const ObjectKey& key) { remove(Kind::kSecrets, key); }

ClusterState::Changes ClusterState::take_changes() {
  told_ = false;
  return std::exchange(changes_, {});
}

std::vector<std::string> ClusterState::not_listed() const {
  std::set<std::string> kinds;
  for (const Feed* feed : feeds_) {
    if (!feed->was_listed()) kinds.insert(name_of(feed->kind()));
  }
  return {kinds.begin(), kinds.end()};
}

void ClusterState::put(Kind kind, const Json& object) {
  const ObjectKey key = key_of(object);
  switch (kind) {
    case Kind::kEndpoints: return put_resource(cluster_.endpoints, key, object);
    case Kind::kDeployments: return put_resource(cluster_.deployments, key, object);
    case Kind::kSlices: {
      Slice slice = read_slice(object);
      const ObjectKey service{key.namespace_name, slice.service};
      return put_member(slices(), key, service, std::move(slice));
    }
    case Kind::kPods: return put_pod(key, object);
    case Kind::kSecrets: return put_secret(key, object);
  }
}

void ClusterState::remove(Kind kind, const ObjectKey& key) {
  switch (kind) {
    case Kind::kEndpoints:
      if (remove_resource(cluster_.endpoints, key)) mark_resources();
      return;
    case Kind::kDeployments:
      if (remove_resource(cluster_.deployments, key)) mark_resources();
      return;
    case Kind::kSlices: return remove_member(slices(), key);
    case Kind::kPods: return remove_pod(key);
    case Kind::kSecrets:
      if (cluster_.secrets.erase(key) > 0) mark_resources();
      return;
  }
}

std::vector<ObjectKey> ClusterState::known(const Scope& scope) const {
  std::vector<ObjectKey> keys;
  switch (scope.kind) {
    case Kind::kEndpoints: add_known(cluster_.endpoints, scope, keys); break;
    case Kind::kDeployments: add_known(cluster_.deployments, scope, keys); break;
    case Kind::kSlices: add_known(service_of_, scope, keys); break;
    case Kind::kPods: add_known(uid_of_, scope, keys); break;
    case Kind::kSecrets: add_known(cluster_.secrets, scope, keys); break;
  }
  return keys;
}

template <class Document>
void ClusterState::put_resource(std::map<ObjectKey, CustomResource<Document>>& all, const ObjectKey& key, const Json& object) {
  CustomResource<Document> next = read_metadata<Document>(object);
  const auto known = all.find(key);
  const bool same_object = known != all.end() && known->second.uid == next.uid;
  // Only a change of the spec increments an object's generation. If it is the same, at most the status and the version differ.
  if (same_object && next.generation > 0 && known->second.generation == next.generation && !known->second.dropped) {
    known->second.version = std::move(next.version);
    if (std::exchange(known->second.status, std::move(next.status)) != known->second.status) mark_statuses();
    return;
  }
  Held& held = held_[key.namespace_name];
  const std::size_t before = known != all.end() ? known->second.bytes : 0;
  next.bytes = spec_bytes(object);
  next.dropped = held.bytes - before + next.bytes > kept_bytes_max_;
  config::Findings findings;
  if (next.dropped) {
    next.refused = "the resources of this namespace are far larger than kubernetes.per_namespace.max_bytes allows";
    held.dropped = true;
  } else if (Document document = read(object, findings, static_cast<Document*>(nullptr)); !findings.has_mistakes()) {
    next.good = std::move(document);
  } else {
    next.refused = findings.brief();
  }
  if (!next.good) {
    next.bytes = 0;
    if (same_object && known->second.good) {
      next.good = std::move(known->second.good);
      next.bytes = before;
    }
  }
  const std::size_t after = next.bytes;
  all.insert_or_assign(key, std::move(next));
  held.bytes = held.bytes - before + after;
  if (after < before && held.dropped) room_ = true;
  mark_resources();
}

template <class Document>
bool ClusterState::remove_resource(std::map<ObjectKey, CustomResource<Document>>& all, const ObjectKey& key) {
  const auto known = all.find(key);
  if (known == all.end()) return false;
  Held& held = held_[key.namespace_name];
  held.bytes -= known->second.bytes;
  if (held.dropped && known->second.bytes > 0) room_ = true;
  all.erase(known);
  return true;
}

bool ClusterState::take_room() {
  if (!std::exchange(room_, false)) return false;
  for (auto& [namespace_name, held] : held_) held.dropped = false;  // set again if a version still finds no room
  return true;
}

template <class Object>
void ClusterState::put_member(Members<Object> members, const ObjectKey& key, const ObjectKey& group, Object next) {
  const auto known = members.group_of.find(key);
  if (known != members.group_of.end()) {
    if (known->second == group && members.groups[group][key.name] == next) return;
    if (known->second != group) remove_member(members, key);
  }
  mark_group(members.changed, group);  // first: the code below may throw std::bad_alloc
  members.group_of[key] = group;
  members.groups[group].insert_or_assign(key.name, std::move(next));
}

void ClusterState::put_pod(const ObjectKey& key, const Json& object) {
  LabelledPod pod = read_pod(object);
  put_addresses(key, {key.namespace_name, pod.uid}, pod.addresses);
  const ObjectKey labels = read_label_key(object);
  if (labels == label_key(key.namespace_name, "", "")) return remove_member(pods(), key);  // no deployment adopts it
  put_member(pods(), key, labels, std::move(pod));
}

void ClusterState::remove_pod(const ObjectKey& key) {
  remove_member(pods(), key);
  const auto known = uid_of_.find(key);
  if (known == uid_of_.end()) return;
  changes_.pod_namespaces.insert(key.namespace_name);
  cluster_.pod_addresses.erase(known->second);
  uid_of_.erase(known);
  notify();
}

void ClusterState::put_addresses(const ObjectKey& key, const ObjectKey& by_uid, std::vector<std::string> addresses) {
  const auto known = uid_of_.find(key);
  const bool same_pod = known != uid_of_.end() && known->second == by_uid;
  if (same_pod && cluster_.pod_addresses[by_uid] == addresses) return;
  changes_.pod_namespaces.insert(key.namespace_name);  // first: the code below may throw std::bad_alloc
  notify();
  if (known != uid_of_.end() && !same_pod) cluster_.pod_addresses.erase(known->second);
  uid_of_[key] = by_uid;
  cluster_.pod_addresses[by_uid] = std::move(addresses);
}

template <class Object>
void ClusterState::remove_member(Members<Object> members, const ObjectKey& key) {
  const auto known = members.group_of.find(key);
  if (known == members.group_of.end()) return;
  const ObjectKey group = known->second;
  mark_group(members.changed, group);
  members.group_of.erase(known);
  const auto all = members.groups.find(group);
  if (all == members.groups.end()) return;  // memory was short when the object was added
  all->second.erase(key.name);
  if (all->second.empty()) members.groups.erase(all);
}

void ClusterState::put_secret(const ObjectKey& key, const Json& object) {
  SecretKeys next = read_secret(object);
  const auto known = cluster_.secrets.find(key);
  if (known != cluster_.secrets.end() && say_the_same(known->second, next)) {
    known->second.version = std::move(next.version);  // the KeyMaker names it in its write
    return mark_statuses();
  }
  cluster_.secrets.insert_or_assign(key, std::move(next));
  mark_resources();
}

void ClusterState::mark_resources() {
  changes_.resources = true;
  notify();
}

void ClusterState::mark_statuses() {
  changes_.statuses = true;
  notify();
}

void ClusterState::mark_group(std::set<ObjectKey> Changes::*changed, const ObjectKey& group) {
  (changes_.*changed).insert(group);
  notify();
}

void ClusterState::notify() {
  if (told_) return;
  if (changed_) changed_();
  told_ = true;  // last: if `changed_` throws, it is called again with the next change
}

}  // namespace router::discovery
