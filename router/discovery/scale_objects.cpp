#include "router/discovery/scale_objects.h"

#include <absl/strings/str_cat.h>

#include <boost/json/array.hpp>
#include <cstdint>
#include <limits>

#include "router/base/one_line.h"
#include "router/base/text.h"
#include "router/kubernetes/json.h"

namespace router::discovery {

namespace json = boost::json;
using kubernetes::metadata_text;
using kubernetes::number_in;
using kubernetes::object_in;
using kubernetes::text_in;

namespace {

constexpr std::size_t kNameMax = 253;                    // bytes of a name of Kubernetes
constexpr std::size_t kScaledForMax = 2 * kNameMax + 1;  // longer ones name no deployment

const json::array* array_in(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value != nullptr ? value->if_array() : nullptr;
}

const json::object& part_of(const json::object& object, std::string_view key) {
  static const json::object kNone;
  const json::object* part = object_in(object, key);
  return part != nullptr ? *part : kNone;
}

std::int64_t count_in(const json::object& object, std::string_view key) { return number_in(object, key).value_or(0); }

/// Nothing if the member is there and is no number of replicas.
std::optional<int> replicas_in(const json::object& spec, int if_missing) {
  if (!spec.contains("replicas")) return if_missing;
  const std::optional<std::int64_t> replicas = number_in(spec, "replicas");
  if (!replicas || *replicas < 0 || *replicas > std::numeric_limits<std::int32_t>::max()) return std::nullopt;
  return static_cast<int>(*replicas);
}

bool owns_replicas(const json::object& fields) {
  const json::object* spec = object_in(part_of(fields, "fieldsV1"), "f:spec");
  return spec != nullptr && spec->contains("f:replicas");
}

/// The newest entry whose manager owns the field. Several own it after an Apply of the number that was there; the entries of
/// all but the manager that changes the number lose the field. So our entry says that the number is ours.
ScaleWriter read_writer(const json::object& object) {
  ScaleWriter writer;
  const json::array* fields = array_in(part_of(object, "metadata"), "managedFields");
  if (fields == nullptr) return writer;
  for (const json::value& each : *fields) {
    const json::object* entry = each.if_object();
    if (entry == nullptr || !owns_replicas(*entry)) continue;
    const std::string manager = text_in(*entry, "manager");
    const std::string time = short_line(text_in(*entry, "time"));
    const bool is_ours = manager == kScaleManager;
    const bool is_newer = writer.manager.empty() || time >= writer.time;
    if (writer.is_ours || (!is_ours && !is_newer)) continue;
    writer = {short_line(manager), short_line(text_in(*entry, "operation")), time, is_ours};
  }
  return writer;
}

bool deployment_rolls_out(const json::object& status, int replicas) {
  const std::int64_t updated = count_in(status, "updatedReplicas");
  return updated < replicas || count_in(status, "replicas") > updated;
}

/// With a partition, some pods stay at the older template. With OnDelete, a user decides when each pod is replaced.
bool stateful_set_rolls_out(const json::object& spec, const json::object& status, int replicas) {
  const json::object& strategy = part_of(spec, "updateStrategy");
  if (text_in(strategy, "type") == "OnDelete") return false;
  if (text_in(status, "updateRevision") == text_in(status, "currentRevision")) return false;
  const std::int64_t partition = count_in(part_of(strategy, "rollingUpdate"), "partition");
  if (partition > 0) return count_in(status, "updatedReplicas") < replicas - partition;
  return replicas > 0;
}

}  // namespace

std::string short_line(std::string_view text) {
  constexpr std::string_view kMore = "...";
  if (text.size() <= kScaleTextMax) return on_one_line(text);
  return absl::StrCat(on_one_line(text.substr(0, kScaleTextMax - kMore.size())), to_absl(kMore));
}

std::string ScaleWriter::text() const {
  if (manager.empty()) return "";
  return operation.empty() ? manager : short_line(absl::StrCat(manager, " (", operation, ")"));
}

std::optional<ScaledObject> read_scaled_object(const json::object& object, std::string_view kind) {
  const json::object& spec = part_of(object, "spec");
  const json::object& status = part_of(object, "status");
  const std::optional<int> replicas = replicas_in(spec, 1);
  ScaledObject scaled;
  scaled.uid = short_line(metadata_text(object, "uid"));
  scaled.version = metadata_text(object, "resourceVersion");
  if (!replicas || scaled.uid.empty() || scaled.version.empty() || scaled.version.size() > kScaleTextMax) return std::nullopt;
  scaled.replicas = *replicas;
  const bool is_new = count_in(status, "observedGeneration") < count_in(part_of(object, "metadata"), "generation");
  scaled.rollout = is_new || (kind == "StatefulSet" ? stateful_set_rolls_out(spec, status, *replicas)
                                                    : deployment_rolls_out(status, *replicas));
  scaled.scaled_for = text_in(part_of(part_of(object, "metadata"), "annotations"), kScaledFor);
  if (scaled.scaled_for.size() > kScaledForMax) scaled.scaled_for = short_line(scaled.scaled_for);
  scaled.writer = read_writer(object);
  return scaled;
}

bool is_scaled_for(const ScaledObject& object, std::string_view endpoint, std::string_view deployment) {
  return equals_ignoring_case(object.scaled_for, absl::StrCat(to_absl(endpoint), "/", to_absl(deployment)));
}

std::optional<ScaleObject> read_scale(const json::object& object) {
  const std::optional<int> replicas = replicas_in(part_of(object, "spec"), 0);  // 0 is left out
  ScaleObject scale;
  scale.version = metadata_text(object, "resourceVersion");
  if (!replicas || scale.version.empty() || scale.version.size() > kScaleTextMax) return std::nullopt;
  scale.replicas = *replicas;
  return scale;
}

std::optional<HpaTarget> read_hpa_target(const json::object& object) {
  const json::object& reference = part_of(part_of(object, "spec"), "scaleTargetRef");
  const std::string api_version = text_in(reference, "apiVersion");
  const std::size_t slash = api_version.find('/');
  HpaTarget target;
  target.group = slash == std::string::npos ? "" : api_version.substr(0, slash);
  target.kind = text_in(reference, "kind");
  target.name = text_in(reference, "name");
  for (const std::string* each : {&target.group, &target.kind, &target.name}) {
    if (each->size() > kNameMax) return std::nullopt;
  }
  if (target.kind.empty() || target.name.empty()) return std::nullopt;
  return target;
}

std::optional<kubernetes::GroupVersionResource> scalable_resource(std::string_view api_version, std::string_view kind) {
  if (api_version != "apps/v1") return std::nullopt;
  if (kind == "Deployment") return kubernetes::GroupVersionResource{"apps", "v1", "deployments"};
  if (kind == "StatefulSet") return kubernetes::GroupVersionResource{"apps", "v1", "statefulsets"};
  return std::nullopt;
}

json::object scale_body(const std::string& namespace_name, const std::string& name, const std::string& version, int replicas) {
  return {{"apiVersion", "autoscaling/v1"},
          {"kind", "Scale"},
          {"metadata", {{"namespace", namespace_name}, {"name", name}, {"resourceVersion", version}}},
          {"spec", {{"replicas", replicas}}}};
}

}  // namespace router::discovery
