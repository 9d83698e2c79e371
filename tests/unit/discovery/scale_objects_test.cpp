#include "router/discovery/scale_objects.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <string>

namespace router::discovery {
namespace {

namespace json = boost::json;

json::object parsed(const std::string& text) { return json::parse(text).as_object(); }

/// As `kubectl get deployment iris-blue -o json --show-managed-fields` prints it after convert's manifest was applied and
/// `kubectl scale --replicas=3`.
const std::string kDeployment = R"({
  "apiVersion": "apps/v1",
  "kind": "Deployment",
  "metadata": {
    "annotations": {
      "deployment.kubernetes.io/revision": "1",
      "inference-router.dev/scaled-for": "iris/blue"
    },
    "creationTimestamp": "2026-01-31T11:58:00Z",
    "generation": 2,
    "labels": {"app": "iris-blue"},
    "managedFields": [
      {"apiVersion": "apps/v1", "fieldsType": "FieldsV1", "manager": "kubectl", "operation": "Update",
       "subresource": "scale", "time": "2026-01-31T12:00:00Z", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
      {"apiVersion": "apps/v1", "fieldsType": "FieldsV1", "manager": "kubectl", "operation": "Apply",
       "time": "2026-01-31T11:58:00Z",
       "fieldsV1": {"f:metadata": {"f:annotations": {"f:inference-router.dev/scaled-for": {}}},
                    "f:spec": {"f:selector": {}, "f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"a\"}": {".": {}}}}}}}},
      {"apiVersion": "apps/v1", "fieldsType": "FieldsV1", "manager": "kube-controller-manager", "operation": "Update",
       "subresource": "status", "time": "2026-01-31T12:00:07Z",
       "fieldsV1": {"f:status": {"f:availableReplicas": {}, "f:replicas": {}, "f:updatedReplicas": {}}}}
    ],
    "name": "iris-blue",
    "namespace": "team-a",
    "resourceVersion": "4711",
    "uid": "0f4d6b0e-5b0b-4c57-9d39-0a5c5bd0f4c1"
  },
  "spec": {
    "progressDeadlineSeconds": 600,
    "replicas": 3,
    "revisionHistoryLimit": 10,
    "selector": {"matchLabels": {"app": "iris-blue"}},
    "strategy": {"rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}, "type": "RollingUpdate"},
    "template": {"metadata": {"labels": {"app": "iris-blue"}}, "spec": {"containers": [{"name": "a", "image": "b"}]}}
  },
  "status": {
    "availableReplicas": 3,
    "conditions": [{"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}],
    "observedGeneration": 2,
    "readyReplicas": 3,
    "replicas": 3,
    "updatedReplicas": 3
  }
})";

const std::string kStatefulSet = R"({
  "apiVersion": "apps/v1",
  "kind": "StatefulSet",
  "metadata": {"generation": 3, "name": "iris-blue", "namespace": "team-a", "resourceVersion": "90", "uid": "u"},
  "spec": {"replicas": 4, "serviceName": "iris", "updateStrategy": {"rollingUpdate": {"partition": 0}, "type": "RollingUpdate"}},
  "status": {"availableReplicas": 4, "collisionCount": 0, "currentReplicas": 4, "currentRevision": "iris-6b9", "observedGeneration": 3,
             "readyReplicas": 4, "replicas": 4, "updateRevision": "iris-6b9", "updatedReplicas": 4}
})";

/// The text with a member of `status`, `spec` or `metadata` changed.
json::object with(const std::string& text, const std::string& part, const std::string& key, const json::value& value) {
  json::object object = parsed(text);
  object[part].as_object()[key] = value;
  return object;
}

bool rolls_out(const json::object& object, std::string_view kind) { return read_scaled_object(object, kind).value().rollout; }

TEST(ScaleObjects, ADeploymentTellsItsReplicasAndWhoseTheyAre) {
  const auto read = read_scaled_object(parsed(kDeployment), "Deployment");
  ASSERT_TRUE(read);
  EXPECT_EQ(read->uid, "0f4d6b0e-5b0b-4c57-9d39-0a5c5bd0f4c1");
  EXPECT_EQ(read->version, "4711");
  EXPECT_EQ(read->replicas, 3);
  EXPECT_FALSE(read->rollout);
  EXPECT_EQ(read->writer.text(), "kubectl (Update)");
  EXPECT_FALSE(read->writer.is_ours);
}

TEST(ScaleObjects, TheAnnotationNamesWhoMayScale) {
  const auto read = read_scaled_object(parsed(kDeployment), "Deployment");
  EXPECT_TRUE(is_scaled_for(*read, "iris", "blue"));
  EXPECT_TRUE(is_scaled_for(*read, "Iris", "Blue")) << "as in routing";
  EXPECT_FALSE(is_scaled_for(*read, "iris", "green"));
  EXPECT_FALSE(is_scaled_for(*read, "iris/blue", ""));
  EXPECT_FALSE(is_scaled_for(*read_scaled_object(parsed(kStatefulSet), "StatefulSet"), "iris", "blue"));
}

TEST(ScaleObjects, ADeploymentRollsOutAsLongAsKubectlWaits) {
  EXPECT_TRUE(rolls_out(with(kDeployment, "metadata", "generation", 3), "Deployment")) << "not observed yet";
  EXPECT_TRUE(rolls_out(with(kDeployment, "status", "updatedReplicas", 1), "Deployment")) << "old pods";
  EXPECT_TRUE(rolls_out(with(kDeployment, "status", "replicas", 4), "Deployment")) << "an old pod is surplus";
  EXPECT_TRUE(rolls_out(with(kDeployment, "spec", "replicas", 5), "Deployment"));
}

TEST(ScaleObjects, PodsThatDoNotStartAreNoRollout) {
  json::object object = with(kDeployment, "status", "availableReplicas", 1);
  object["status"].as_object().erase("readyReplicas");
  EXPECT_FALSE(rolls_out(object, "Deployment"));
}

TEST(ScaleObjects, AtZeroThereIsNoRolloutButOldPods) {
  json::object object = with(kDeployment, "spec", "replicas", 0);
  object["status"] = json::object{{"observedGeneration", 2}};
  EXPECT_FALSE(rolls_out(object, "Deployment"));
  object["status"].as_object()["replicas"] = 1;
  EXPECT_TRUE(rolls_out(object, "Deployment"));
}

TEST(ScaleObjects, AStatefulSetRollsOutUntilItsRevisionsAreOne) {
  EXPECT_FALSE(rolls_out(parsed(kStatefulSet), "StatefulSet"));
  EXPECT_FALSE(rolls_out(with(kStatefulSet, "spec", "replicas", 6), "StatefulSet")) << "only more of the same";
  json::object object = with(kStatefulSet, "status", "updateRevision", "iris-77c");
  EXPECT_TRUE(rolls_out(object, "StatefulSet"));
  object["spec"].as_object()["updateStrategy"].as_object()["rollingUpdate"] = json::object{{"partition", 3}};
  object["status"].as_object()["updatedReplicas"] = 0;
  EXPECT_TRUE(rolls_out(object, "StatefulSet"));
  object["status"].as_object()["updatedReplicas"] = 1;
  EXPECT_FALSE(rolls_out(object, "StatefulSet")) << "three stay at the older one";
  object["spec"].as_object()["updateStrategy"] = json::object{{"type", "OnDelete"}};
  object["status"].as_object()["updatedReplicas"] = 0;
  EXPECT_FALSE(rolls_out(object, "StatefulSet"));
}

json::object owner(const std::string& manager, const std::string& operation, const std::string& time) {
  return {{"manager", manager},
          {"operation", operation},
          {"time", time},
          {"fieldsV1", {{"f:spec", {{"f:replicas", json::object()}}}}}};
}

ScaleWriter writer_of(const json::array& fields) {
  return read_scaled_object(with(kDeployment, "metadata", "managedFields", fields), "Deployment").value().writer;
}

TEST(ScaleObjects, TheNewestOwnerHasWrittenTheReplicas) {
  const json::object older = owner("kubectl-client-side-apply", "Update", "2026-01-31T11:00:00Z");
  const json::object newer = owner("argocd-controller", "Apply", "2026-01-31T12:00:00Z");
  EXPECT_EQ(writer_of({older, newer}).text(), "argocd-controller (Apply)");
  EXPECT_EQ(writer_of({newer, older}).text(), "argocd-controller (Apply)");
}

TEST(ScaleObjects, ANumberThatAnotherManagerHasAppliedAfterUsIsStillOurs) {
  const json::object ours = owner("inference-router-scaler", "Update", "2026-01-31T11:00:00Z");
  const json::object other = owner("argocd-controller", "Apply", "2026-01-31T12:00:00Z");
  EXPECT_TRUE(writer_of({ours, other}).is_ours);
  EXPECT_TRUE(writer_of({other, ours}).is_ours);
  EXPECT_FALSE(writer_of({owner("inference-router", "Apply", "")}).is_ours);
}

TEST(ScaleObjects, TheDefaultNumberHasNoOwner) {
  EXPECT_EQ(writer_of({}).text(), "");
  EXPECT_EQ(writer_of({json::object{{"manager", "a"}, {"fieldsV1", {{"f:spec", {{"f:template", json::object()}}}}}}}).text(),
            "");
  json::object object = parsed(kDeployment);
  object["spec"].as_object().erase("replicas");
  EXPECT_EQ(read_scaled_object(object, "Deployment").value().replicas, 1);
}

TEST(ScaleObjects, NumbersThatAreNoReplicasAreRefused) {
  for (const json::value& wrong :
       {json::value(-1), json::value("3"), json::value(2.5), json::value(1LL << 40), json::value(nullptr)})
    EXPECT_FALSE(read_scaled_object(with(kDeployment, "spec", "replicas", wrong), "Deployment")) << wrong;
  EXPECT_FALSE(read_scaled_object({}, "Deployment"));
  EXPECT_FALSE(read_scaled_object(with(kDeployment, "metadata", "uid", 5), "Deployment"));
  EXPECT_FALSE(read_scaled_object(with(kDeployment, "metadata", "resourceVersion", json::string(100'000, '1')), "Deployment"));
}

TEST(ScaleObjects, MembersOfWrongTypesCountAsMissing) {
  for (const char* part : {"spec", "status"}) {
    for (const json::value& wrong : {json::value(1), json::value(json::array{1}), json::value("x"), json::value(nullptr)}) {
      json::object object = parsed(kDeployment);
      object[part] = wrong;
      EXPECT_TRUE(read_scaled_object(object, "Deployment")) << part << wrong;
      EXPECT_TRUE(read_scaled_object(object, "StatefulSet")) << part << wrong;
    }
  }
  for (const char* key : {"annotations", "managedFields", "generation"}) {
    for (const json::value& wrong : {json::value(1), json::value(json::array{1, nullptr, json::object{{"fieldsV1", 3}}})})
      EXPECT_TRUE(read_scaled_object(with(kDeployment, "metadata", key, wrong), "Deployment")) << key << wrong;
  }
}

TEST(ScaleObjects, TextsOfStrangersAreShortAndOnOneLine) {
  json::array fields;
  for (int i = 0; i < 10'000; ++i)
    fields.push_back(owner("evil\n\x1b[31m" + std::string(5000, 'm'), std::string(5000, 'o'), ""));
  const ScaleWriter writer = writer_of(fields);
  EXPECT_LE(writer.text().size(), kScaleTextMax);
  EXPECT_EQ(writer.text().substr(0, 9), "evil??[31");
  const std::string mark = std::string(1'000'000, 'x');
  const auto read =
      read_scaled_object(with(kDeployment, "metadata", "annotations", json::object{{kScaledFor, mark}}), "Deployment");
  EXPECT_LE(read->scaled_for.size(), kScaleTextMax);
}

/// As `kubectl get hpa keda-hpa-iris -o json` prints it.
const std::string kHpa = R"({
  "apiVersion": "autoscaling/v2",
  "kind": "HorizontalPodAutoscaler",
  "metadata": {"name": "keda-hpa-iris", "namespace": "team-a", "labels": {"scaledobject.keda.sh/name": "iris"}},
  "spec": {
    "maxReplicas": 10,
    "metrics": [{"external": {"metric": {"name": "s0-cron"}, "target": {"averageValue": "1", "type": "AverageValue"}}, "type": "External"}],
    "minReplicas": 1,
    "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "iris-blue"}
  }
})";

TEST(ScaleObjects, AnHpaTellsItsTarget) {
  const auto target = read_hpa_target(parsed(kHpa));
  ASSERT_TRUE(target);
  EXPECT_EQ(target->group, "apps");
  EXPECT_EQ(target->kind, "Deployment");
  EXPECT_EQ(target->name, "iris-blue");
  const auto with_reference = [](const json::value& reference) {
    return read_hpa_target({{"spec", {{"scaleTargetRef", reference}}}});
  };
  EXPECT_EQ(with_reference({{"apiVersion", "v1"}, {"kind", "ReplicationController"}, {"name", "x"}})->group, "");
  EXPECT_FALSE(with_reference({{"kind", "Deployment"}}));
  EXPECT_FALSE(with_reference({{"kind", "Deployment"}, {"name", std::string(254, 'x')}}));
  EXPECT_FALSE(with_reference(7));
  EXPECT_FALSE(read_hpa_target({}));
}

TEST(ScaleObjects, AScaleTellsWhatWasStored) {
  const auto scale = read_scale(parsed(
      R"({"kind":"Scale","apiVersion":"autoscaling/v1","metadata":{"name":"iris-blue","resourceVersion":"5"},"spec":{"replicas":4},"status":{"replicas":3}})"));
  ASSERT_TRUE(scale);
  EXPECT_EQ(scale->replicas, 4);
  EXPECT_EQ(scale->version, "5");
  EXPECT_EQ(read_scale(parsed(R"({"metadata":{"resourceVersion":"5"},"spec":{}})"))->replicas, 0) << "0 is left out";
  EXPECT_FALSE(read_scale(parsed(R"({"metadata":{"resourceVersion":"5"},"spec":{"replicas":-1}})")));
  EXPECT_FALSE(read_scale({}));
}

TEST(ScaleObjects, OnlyKindsThatCanBeMarkedAreScaled) {
  EXPECT_EQ(scalable_resource("apps/v1", "Deployment")->plural, "deployments");
  EXPECT_EQ(scalable_resource("apps/v1", "StatefulSet")->plural, "statefulsets");
  EXPECT_FALSE(scalable_resource("apps/v1", "ReplicaSet"));
  EXPECT_FALSE(scalable_resource("example.com/v1", "Deployment"));
}

}  // namespace
}  // namespace router::discovery
