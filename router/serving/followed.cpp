#include "router/serving/followed.h"

#include <utility>

namespace router::serving {
namespace {

/// Field selector. Helm's Secrets are large and many, and neither of the two types can hold keys.
constexpr const char* kNoSecretsOfOthers = "type!=helm.sh/release.v1,type!=kubernetes.io/service-account-token";

}  // namespace

Followed Follower::follow(discovery::ClusterState::Scope scope, kubernetes::GroupVersionResource resource,
                          const std::string& label_selector) {
  kubernetes::Selection selection;
  selection.resource = std::move(resource);
  selection.namespace_name = scope.namespace_name;
  selection.label_selector = label_selector;
  if (!scope.name.empty()) selection.field_selector = kubernetes::selector_of_name(scope.name);
  if (scope.names != nullptr) selection.field_selector = kNoSecretsOfOthers;
  Followed followed;
  followed.namespace_name = scope.namespace_name;
  followed.kind = scope.kind;
  followed.since = control_.now();
  followed.watcher = state_.watcher(std::move(scope));
  followed.reflector = std::make_unique<kubernetes::Reflector>(client_, group_, std::move(selection), *followed.watcher);
  return followed;
}

}  // namespace router::serving
