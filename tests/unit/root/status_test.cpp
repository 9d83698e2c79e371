#include "router/root/status.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <string>

#include "router/root/figures.h"
#include "tests/unit/serving/publication_world.h"

namespace router::root {
namespace {

namespace json = boost::json;

/// The status and the figures of the configuration in force.
class StatusOfWhatIsInForce : public serving::PublicationWorld {
 protected:
  void publish(config::Config config) {
    EXPECT_TRUE(publication.publish(files(std::move(config))).ok());
    turn();
  }
  json::object status() const {
    return json::parse(status_json({.config = publication.config(), .live = live, .generation = publication.generation()}))
        .as_object();
  }
  metrics::ProcessFigures figures() const {
    return process_figures({publication, live, views, access_logs, nullptr, nullptr, {}});
  }
};

TEST_F(StatusOfWhatIsInForce, TellsEndpointsDeploymentsAndReplicasAndNoKey) {
  config::Config config = settings({"iris"});
  config.endpoints.front().keys.resize(2);
  publish(std::move(config));
  const json::object all = status();
  EXPECT_EQ(all.at("generation").to_number<int>(), 1);
  EXPECT_FALSE(all.at("draining").as_bool());
  EXPECT_FALSE(all.contains("kubernetes"));
  const json::object& endpoint = all.at("endpoints").as_array().at(0).as_object();
  EXPECT_EQ(endpoint.at("name").as_string(), "iris");
  EXPECT_EQ(endpoint.at("keys").to_number<int>(), 2);
  const json::object& deployment = endpoint.at("deployments").as_array().at(0).as_object();
  EXPECT_EQ(deployment.at("name").as_string(), "blue");
  const json::object& replica = deployment.at("replicas").as_array().at(0).as_object();
  EXPECT_EQ(replica.at("address").as_string(), "127.0.0.1:1");
  EXPECT_FALSE(replica.at("ready").as_bool());
}

TEST_F(StatusOfWhatIsInForce, IsOfTheSameConfigurationAsTheFigures) {
  publish(settings({"iris"}));
  publish(settings({"rose", "tulip"}));
  EXPECT_EQ(status().at("endpoints").as_array().size(), 2u);
  const metrics::ProcessFigures told = figures();
  EXPECT_EQ(told.generation, 2u);
  ASSERT_EQ(told.deployments.size(), 2u);
  EXPECT_EQ(told.deployments.front().endpoint, "rose");
  EXPECT_EQ(told.deployments.front().replicas_not_ready, 1u);
  EXPECT_FALSE(told.discovery_age) << "the router follows no API server";
  EXPECT_FALSE(told.per_replica) << "figures of replicas are switched off";
}

TEST_F(StatusOfWhatIsInForce, HasFiguresOfReplicasIfTheyAreAskedFor) {
  config::Config config = settings({"iris"});
  config.process.per_replica = true;
  publish(std::move(config));
  const metrics::ProcessFigures told = figures();
  ASSERT_TRUE(told.per_replica);
  ASSERT_EQ(told.per_replica->present.size(), 1u);
  EXPECT_EQ(told.per_replica->present.front().replica, "127.0.0.1:1");
}

}  // namespace
}  // namespace router::root
