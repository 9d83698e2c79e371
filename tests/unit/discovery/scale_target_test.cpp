#include "router/discovery/scale_target.h"

#include <gtest/gtest.h>

#include <string>

namespace router::discovery {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

/// One target whose answers the test makes. `manager`: who owns spec.replicas; empty: nobody.
class ScaleTargetAlone : public testing::Test {
 protected:
  ScaleTargetAlone() {
    target.set_hpas({}, now);
    look(1, "kubectl");
  }
  static ScaledDeployment described() {
    ScaledDeployment deployment;
    deployment.key = "team-a/house/blue";
    deployment.namespace_name = "team-a";
    deployment.endpoint = "house";
    deployment.deployment = "blue";
    deployment.target.name = "house-blue";
    return deployment;
  }
  kubernetes::ApiAnswer object(int replicas, const std::string& manager) {
    const std::string fields =
        manager.empty() ? "[]"
                        : R"([{"manager":")" + manager + R"(","operation":"Update","fieldsV1":{"f:spec":{"f:replicas":{}}}}])";
    kubernetes::ApiAnswer answer;
    answer.status = 200;
    answer.body = R"({"metadata":{"name":"house-blue","namespace":"team-a","uid":"u","resourceVersion":")" +
                  std::to_string(++version) +
                  R"(","annotations":{"inference-router.dev/scaled-for":"house/blue"},"managedFields":)" + fields +
                  R"(},"spec":{"replicas":)" + std::to_string(replicas) + "}}";
    return answer;
  }
  void look(int replicas, const std::string& manager) {
    EXPECT_TRUE(target.look());
    target.look_answered(object(replicas, manager), now);
  }

  TimePoint now{hours(1)};
  int version = 0;
  ScaleTarget target{described()};
};

// A scale of 0 has no field `replicas`: the API server then knows no owner.
TEST_F(ScaleTargetAlone, OurWriteOfZeroThatHadNoAnswerIsNotSomebodyElses) {
  target.begin_write(0);
  EXPECT_TRUE(target.write_request());
  target.write_unanswered("no answer");
  EXPECT_TRUE(target.write_request());
  target.write_answered(object(0, ""), now);
  EXPECT_EQ(target.seen().foreign_changes, 0u) << target.seen().foreign_writer;
  EXPECT_EQ(target.seen().replicas, 0);
}

// Two installations that serve the same namespace would undo each other's writes for ever.
TEST_F(ScaleTargetAlone, WhatARouterOfAnotherInstallationWritesIsAChangeByOthers) {
  now += seconds(20);
  look(3, std::string(kScaleManager));
  EXPECT_EQ(target.seen().foreign_changes, 0u) << "the leader before may have written it";
  now += seconds(20);
  look(1, std::string(kScaleManager));
  EXPECT_EQ(target.seen().foreign_changes, 1u);
  EXPECT_EQ(target.seen().foreign_writer, "a router of another installation set 1");
}

TEST_F(ScaleTargetAlone, OurOwnWriteIsNoChangeByOthers) {
  now += seconds(60);
  target.begin_write(4);
  EXPECT_TRUE(target.write_request());
  kubernetes::ApiAnswer answer;
  answer.status = 200;
  answer.body = R"({"metadata":{"resourceVersion":")" + std::to_string(++version) + R"("},"spec":{"replicas":4}})";
  target.write_answered(answer, now);
  look(4, std::string(kScaleManager));
  EXPECT_EQ(target.seen().foreign_changes, 0u);
}

}  // namespace
}  // namespace router::discovery
