#pragma once

#include <boost/json/object.hpp>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "router/kubernetes/group_version_resource.h"

/// Reads what the autoscaler needs of objects of the API server. Their authors may be hostile: a member of a wrong type counts
/// as missing, and no text that comes out is long. Texts for people are one line of at most
/// kScaleTextMax bytes. Pure; any thread.
namespace router::discovery {

inline constexpr std::size_t kScaleTextMax = 256;  // bytes

/// The manager of the fields that the autoscaler writes, on all routers: what another router has written counts as ours.
inline constexpr std::string_view kScaleManager = "inference-router-scaler";
/// The annotation of a target: `ENDPOINT/DEPLOYMENT`, which may scale it. It is the consent of someone who may change the
/// target; without it, everyone who may write a resource could scale everything in its namespace.
inline constexpr std::string_view kScaledFor = "inference-router.dev/scaled-for";

/// One line of at most kScaleTextMax bytes, without control characters (base/one_line.h).
std::string short_line(std::string_view text);

/// Who has set `spec.replicas` last, by `metadata.managedFields`.
struct ScaleWriter {
  std::string manager;  // empty: nobody owns the field, as when it has its default value
  std::string operation;
  std::string time;      // as the API server writes it: `2026-01-31T12:00:00Z`
  bool is_ours = false;  // kScaleManager is among the owners. A change by another manager ends that

  /// `argocd-controller (Apply)`.
  std::string text() const;
};

/// A Deployment or StatefulSet (apps/v1).
struct ScaledObject {
  std::string uid;
  std::string version;  // metadata.resourceVersion
  int replicas = 1;     // spec.replicas; Kubernetes' default
  /// Pods of an older template are there, or the controller has not seen the newest template yet. As `kubectl rollout status`
  /// decides, but pods that do not become ready are no rollout: the rule knows these by the ready endpoints.
  bool rollout = false;
  std::string scaled_for;  // the annotation, as it is; empty: not there
  ScaleWriter writer;
};
/// Nothing if the object has no uid or version, or if spec.replicas is no number of replicas: 0 to 2^31 - 1.
std::optional<ScaledObject> read_scaled_object(const boost::json::object& object, std::string_view kind);

/// Whether the annotation names this deployment. Names are compared as in routing, without regard to case.
bool is_scaled_for(const ScaledObject& object, std::string_view endpoint, std::string_view deployment);

/// The answer to a write of the subresource `scale` (autoscaling/v1).
struct ScaleObject {
  std::string version;
  int replicas = 0;
};
std::optional<ScaleObject> read_scale(const boost::json::object& object);

/// The target of a HorizontalPodAutoscaler (autoscaling/v2), KEDA's included.
struct HpaTarget {
  std::string group;  // `apps`
  std::string kind;
  std::string name;
};
/// Nothing if it has none whose names are names of Kubernetes.
std::optional<HpaTarget> read_hpa_target(const boost::json::object& object);

/// Deployments and StatefulSets of apps/v1; nothing for other kinds.
std::optional<kubernetes::GroupVersionResource> scalable_resource(std::string_view api_version, std::string_view kind);

/// The body of `PUT .../scale`.
boost::json::object scale_body(const std::string& namespace_name, const std::string& name, const std::string& version,
                               int replicas);

}  // namespace router::discovery
