#include "router/discovery/status_writer.h"

#include <absl/strings/str_cat.h>

#include <utility>

#include "router/base/log.h"
#include "router/discovery/read_objects.h"
#include "router/discovery/resource_kinds.h"
#include "router/kubernetes/json.h"
#include "router/kubernetes/requests.h"
#include "router/kubernetes/resource_version.h"

namespace router::discovery {
namespace {

namespace json = boost::json;
using Kind = ReconcileResult::Kind;

std::string errand_of(const ResourceStatus& status) {
  return absl::StrCat(resource_of(status.kind).plural, "/", status.key.namespace_name, "/", status.key.name);
}

/// The reason of the refusal in the API server's status; empty: there is none.
std::string shown_refusal(const json::object& known) {
  const json::object* accepted = find_condition(known, condition::kAccepted);
  if (accepted == nullptr || kubernetes::text_in(*accepted, "status") != "False") return "";
  return kubernetes::text_in(*accepted, "reason");
}

/// Calls `use` with the resource of that status, if the watch has shown it.
template <class Use>
void with_shown(const Cluster& cluster, const ResourceStatus& status, const Use& use) {
  if (status.kind == Kind::kEndpoint) {
    const auto found = cluster.endpoints.find(status.key);
    if (found != cluster.endpoints.end()) use(found->second);
  } else {
    const auto found = cluster.deployments.find(status.key);
    if (found != cluster.deployments.end()) use(found->second);
  }
}

}  // namespace

void StatusWriter::set(std::vector<ResourceStatus> statuses, const Cluster& cluster) {
  std::map<std::string, Object> objects;
  for (ResourceStatus& status : statuses) {
    const std::string errand = errand_of(status);
    const auto before = objects_.find(errand);
    const bool same = before != objects_.end() && before->second.status.uid == status.uid;
    Object object = same ? std::move(before->second) : Object();
    bool is_news = all_is_news_ || object.status != status;
    object.status = std::move(status);
    with_shown(cluster, object.status, [&](const auto& shown) {
      if (shown.version == object.version || kubernetes::is_older(shown.version, object.version)) return;
      object.known = shown.status;
      object.version = shown.version;
      is_news = true;
    });
    if (object.status.accepted().holds) object.told.clear();
    if (is_news && !is_right(object)) errands_.ask(*this, errand);
    objects.emplace(errand, std::move(object));
  }
  objects_ = std::move(objects);
  all_is_news_ = false;
}

json::object StatusWriter::wanted(const Object& object) const {
  return status_object(object.status, object.known, object.sent, kubernetes::time_text(clock_()));
}

bool StatusWriter::is_right(const Object& object) const {
  const json::object next = wanted(object);
  const json::object part = part_of(object.known, next);
  return part == next || (next == object.sent && part == object.settled);
}

std::optional<kubernetes::ApiRequest> StatusWriter::request_for(const std::string& name) {
  const auto found = objects_.find(name);
  if (found == objects_.end() || is_right(found->second)) return std::nullopt;
  Object& object = found->second;
  const ResourceStatus& status = object.status;
  const kubernetes::GroupVersionResource& resource = resource_of(status.kind);
  object.sending = wanted(object);
  // Because of the uid, the server refuses the write if another object now has the name.
  json::object metadata{{"name", status.key.name}, {"namespace", status.key.namespace_name}, {"uid", status.uid}};
  const json::object body{{"apiVersion", resource.api_version()},
                          {"kind", kind_name(status.kind)},
                          {"metadata", std::move(metadata)},
                          {"status", object.sending}};
  return kubernetes::apply_request(kubernetes::object_path(resource, status.key.namespace_name, status.key.name, "status"),
                                   body);
}

kubernetes::Sender::Outcome StatusWriter::answered(const std::string& name, const kubernetes::ApiAnswer& answer) {
  const auto found = objects_.find(name);
  if (found == objects_.end()) return Outcome::kDone;
  if (answer.succeeded()) {
    auto object = kubernetes::parse_object(answer.body);
    if (object.ok() && metadata_text(*object, "uid") == found->second.status.uid) written(found->second, *object);
    if (!is_right(found->second)) errands_.ask(*this, name);
    return Outcome::kDone;
  }
  // The object was deleted, or another one has its name. The watch will show it, so nothing is logged.
  if (answer.status == 404 || answer.status == 409) return Outcome::kAgain;
  log_answer(found->second, answer);
  return Outcome::kAgain;
}

void StatusWriter::written(Object& object, const json::object& answer) {
  refusals_.recovered();
  const std::string refusal_before = shown_refusal(object.known);
  const std::string version = metadata_text(answer, "resourceVersion");
  json::object status = read_status(answer);
  object.sent = std::move(object.sending);
  object.settled = part_of(status, object.sent);
  if (!kubernetes::is_older(version, object.version)) {
    object.known = std::move(status);
    object.version = version;
  }
  const std::string refusal = shown_refusal(object.settled);
  if (refusal.empty() || refusal == object.told) return;
  object.told = refusal;
  if (refusal == refusal_before) return;
  ResourceStatus told = object.status;
  const bool is_same = !told.accepted().holds && told.accepted().reason == refusal;
  if (!is_same) return;  // the status has changed since; the next write reports it
  events_.refused(told, kubernetes::text_in(*find_condition(object.settled, condition::kAccepted), "lastTransitionTime"));
}

void StatusWriter::log_answer(const Object& object, const kubernetes::ApiAnswer& answer) {
  const kubernetes::GroupVersionResource& resource = resource_of(object.status.kind);
  const std::string subject =
      absl::StrCat(resource.name(), " in namespace ", object.status.key.namespace_name, "/", answer.status);
  if (!refusals_.should_log(subject)) return;
  const std::string words = kubernetes::message_of(answer);
  const std::string hint =
      answer.status == 403 ? absl::StrCat(": allow the verb patch on ", resource.plural, "/status.", resource.group) : "";
  log::warning(absl::StrCat("kubernetes: the API server refuses the status of ", kind_name(object.status.kind), " ",
                            object.status.key.namespace_name, "/", object.status.key.name, " (", answer.status,
                            words.empty() ? "" : ": ", words, ")", hint, "; trying again"));
}

}  // namespace router::discovery
