#include "router/kubernetes/object_watch.h"

#include <algorithm>
#include <utility>

#include "router/kubernetes/json.h"

namespace router::kubernetes {
namespace {

Selection selection_of(const ObjectName& name) {
  Selection selection;
  selection.resource = name.resource;
  selection.namespace_name = name.namespace_name;
  selection.field_selector = selector_of_name(name.name);
  return selection;
}

}  // namespace

ObjectWatch::ObjectWatch(ApiClient& client, runtime::TaskGroup& group, const ObjectName& name,
                         std::function<void(ObjectState)> told)
    : name_(name.name), told_(std::move(told)), reflector_(client, group, selection_of(name), *this) {}

// A server that ignored the selector would show other objects as this one.
bool ObjectWatch::is_ours(const boost::json::object& object) const { return metadata_text(object, "name") == name_; }

void ObjectWatch::listed(std::vector<boost::json::object> objects) {
  const auto found =
      std::find_if(objects.begin(), objects.end(), [this](const boost::json::object& each) { return is_ours(each); });
  if (found != objects.end()) return changed(std::move(*found));
  tell({});
}

void ObjectWatch::changed(boost::json::object object) {
  if (!is_ours(object)) return;
  ObjectState state;
  state.version = metadata_text(object, "resourceVersion");
  state.object = std::move(object);
  tell(std::move(state));
}

void ObjectWatch::removed(boost::json::object object) {
  if (!is_ours(object)) return;
  ObjectState state;
  state.version = metadata_text(object, "resourceVersion");
  tell(std::move(state));
}

void ObjectWatch::tell(ObjectState state) {
  std::string next = state.object ? state.version : "";
  if (last_ == next) return;
  last_.reset();  // the call below may throw
  told_(std::move(state));
  last_ = std::move(next);
}

}  // namespace router::kubernetes
