#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <fstream>
#include <map>
#include <memory>
#include <new>
#include <string>
#include <utility>

#include "router/serving/cluster_source.h"
#include "tests/support/failing_memory.h"
#include "tests/unit/discovery/cluster_world.h"
#include "tests/unit/kubernetes/api_server.h"
#include "tests/unit/serving/publication_world.h"

namespace router::serving {
namespace {

namespace json = boost::json;
using Names = std::set<std::string>;

/// Resources of an API server, beside the endpoint `iris` of a file.
class PublicationOfResources : public PublicationWorld {
 protected:
  PublicationOfResources() {
    std::ofstream(folder + "/kubeconfig")
        << "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts:\n- name: c\n  context: "
           "{cluster: c, user: u}\nusers:\n- name: u\n  user: {}\nclusters:\n- name: c\n  "
           "cluster: {server: 'http://127.0.0.1:"
        << server.cluster().port << "'}\n";
    config::Kubernetes& settings = process.kubernetes.emplace();
    settings.kubeconfig = folder + "/kubeconfig";
    auto made = ClusterSource::make(control, resolver, settings, 1, live, [this] { resources_changed(); });
    EXPECT_TRUE(made.ok()) << made.status();
    cluster = *std::move(made);
    publication.follow(*cluster);
    EXPECT_TRUE(publication.publish(files(publication.files())).ok());
    turn();
  }
  ~PublicationOfResources() override {
    cluster->stop();
    control.poll();
    server.forget();
    for (int turns = 0; turns < 10; ++turns) control.advance(std::chrono::seconds(1));
    EXPECT_TRUE(control.run(cluster->stopped(control.now())));
    cluster.reset();
  }
  std::string in_force() const override {
    return PublicationWorld::in_force() + "\nresources " + std::to_string(cluster->endpoints().size()) + ", refused " +
           std::to_string(cluster->resources_refused());
  }
  void resources_changed() {
    ++changes;
    if (fails == kNoFailure) return publication.publish({}).IgnoreError();
    const std::string before = in_force();
    const std::size_t served = std::exchange(fails, kNoFailure);
    try {
      const test::FailingMemory memory(served, 1);
      publication.publish({}).IgnoreError();
    } catch (const std::bad_alloc&) {
      EXPECT_EQ(in_force(), before);
      ++refused;
      throw;
    }
  }
  void put(const std::string& kind, const json::object& object) { objects[kind].push_back(object); }
  /// Answers lists with the objects that exist, and leaves watches open.
  void answer_all() {
    while (server.is_asked_now()) {
      const kubernetes::test::Asked asked = server.next();
      if (asked.target.find("watch=") != std::string::npos || asked.target.find("watch&") != std::string::npos) {
        asked.begin_watch();
        watches.push_back(asked);
        continue;
      }
      const std::string path = asked.target.substr(0, asked.target.find('?'));
      const json::object list{{"metadata", {{"resourceVersion", "1"}}}, {"items", objects[path.substr(path.rfind('/') + 1)]}};
      asked.answer(200, json::serialize(list), "Content-Type: application/json\r\n");
    }
  }
  /// Runs for ten seconds, in which the objects that were listed are published.
  void follow() {
    for (int steps = 0; steps < 200; ++steps) {
      answer_all();
      control.advance(std::chrono::milliseconds(50));
      turn();
    }
  }
  std::size_t watches_of(const std::string& kind) const {
    std::size_t count = 0;
    for (const kubernetes::test::Asked& each : watches) count += each.target.find("/" + kind) != std::string::npos ? 1 : 0;
    return count;
  }
  void send_event(const std::string& kind, const char* type, const json::object& object) {
    for (const kubernetes::test::Asked& each : watches) {
      if (each.target.find("/" + kind) == std::string::npos) continue;
      json::object told = object;
      told["metadata"].as_object()["resourceVersion"] = std::to_string(++version);
      each.chunk(json::serialize(json::object{{"type", type}, {"object", told}}) + "\n");
    }
  }
  void put_tulip() {
    put("onlineendpoints", discovery::EndpointSpec{.name = "tulip", .traffic = {{"blue", 100}}}.object());
    put("onlinedeployments", discovery::DeploymentSpec{.endpoint = "tulip"}.object());
    discovery::SliceSpec slice;
    slice.service = "tulip-blue";
    slice.pods = {{.address = "10.0.0.1", .conditions = {{"ready", true}}}};
    put("endpointslices", slice.object());
  }

  static constexpr std::size_t kNoFailure = static_cast<std::size_t>(-1);
  kubernetes::test::ApiServer server{control};
  std::map<std::string, json::array> objects;
  std::vector<kubernetes::test::Asked> watches;
  config::Process process;
  std::unique_ptr<ClusterSource> cluster;
  std::size_t changes = 0;
  std::size_t fails = kNoFailure;  // the number of allocations after which the next publication fails
  std::size_t refused = 0;
  int version = 1;
};

TEST_F(PublicationOfResources, AddsThemToThoseOfFiles) {
  EXPECT_EQ(routed(), Names{"iris"});
  put_tulip();
  cluster->start(process);
  follow();
  EXPECT_EQ(routed(), (Names{"iris", "tulip"}));
  EXPECT_EQ(publication.files().endpoints.size(), 1u);
  EXPECT_EQ(live.get("team-a/tulip/blue").replicas.size(), 1u);
  EXPECT_EQ(live.get("team-a/tulip/blue").queue->demand().replicas_ready, 1u);
}

TEST_F(PublicationOfResources, UntilTheyAreReadAnEndpointMayExistThatIsNotKnown) {
  EXPECT_FALSE(views.newest()->table.complete);
  cluster->start(process);
  follow();
  EXPECT_TRUE(views.newest()->table.complete);
}

TEST_F(PublicationOfResources, OpenWithTheKeysOfTheirSecrets) {
  put_tulip();
  put("secrets", discovery::secret({{"primaryKey", "0123456789abcdef0123456789abcdef"}}, "tulip-keys"));
  cluster->start(process);
  follow();
  EXPECT_EQ(views.newest()->table.by_name.at("tulip")->keys.size(), 1u);
  EXPECT_EQ(watches_of("secrets"), 1u);
  EXPECT_TRUE(publication.publish(files(settings({"tulip"}))).ok());
  put("secrets", discovery::secret({{"primaryKey", "fedcba9876543210fedcba9876543210"}}, "rose-keys"));
  send_event("onlineendpoints", "ADDED", discovery::EndpointSpec{.name = "rose"}.object());
  follow();
  EXPECT_EQ(views.newest()->table.by_name.at("rose")->keys.size(), 1u);
}

TEST_F(PublicationOfResources, FollowManySecretsOfANamespaceTogether) {
  for (std::size_t i = 0; i <= FollowedSecrets::kAlone; ++i) {
    const std::string name = "tulip-" + std::to_string(i);
    put("onlineendpoints", discovery::EndpointSpec{.name = name}.object());
    put("secrets", discovery::secret({{"primaryKey", "0123456789abcdef0123456789abcdef"}}, name + "-keys"));
  }
  cluster->start(process);
  follow();
  EXPECT_EQ(routed().size(), FollowedSecrets::kAlone + 2);
  EXPECT_EQ(watches_of("secrets"), 1u);
  EXPECT_EQ(views.newest()->table.by_name.at("tulip-3")->keys.size(), 1u);
}

TEST_F(PublicationOfResources, StayWhileFilesChange) {
  put_tulip();
  cluster->start(process);
  follow();
  EXPECT_TRUE(publication.publish(files(settings({"rose"}))).ok());
  turn();
  EXPECT_EQ(routed(), (Names{"rose", "tulip"}));
  EXPECT_EQ(live.get("team-a/tulip/blue").replicas.size(), 1u);
}

TEST_F(PublicationOfResources, GiveWayToAFileThatClaimsTheirName) {
  put_tulip();
  cluster->start(process);
  follow();
  EXPECT_TRUE(publication.publish(files(settings({"iris", "tulip"}))).ok());
  turn();
  EXPECT_EQ(live.all().count("team-a/tulip/blue"), 0u);
  EXPECT_EQ(cluster->resources_refused(), 2u) << "the endpoint and its deployment";
}

TEST_F(PublicationOfResources, AreAsTheyWereIfAFileIsRefused) {
  put_tulip();
  cluster->start(process);
  follow();
  const std::string before = in_force();
  config::Config config = settings({"iris", "tulip"});
  config.process.access_log = folder + "/nowhere/access.log";
  EXPECT_FALSE(publication.publish(files(std::move(config))).ok());
  EXPECT_EQ(in_force(), before);
  EXPECT_EQ(cluster->resources_refused(), 0u);
}

TEST_F(PublicationOfResources, ChangesNothingOrEverythingWhicheverAllocationFails) {
  put_tulip();
  cluster->start(process);
  follow();
  bool claims = false;
  const auto next = [&] {
    claims = cluster->resources_refused() == 0;  // the file takes the name, or gives it up
    Publication::Sources sources =
        files(settings(claims ? std::vector<std::string>{"iris", "tulip"} : std::vector<std::string>{"iris"}));
    sources.tls.reset();
    return sources;
  };
  fail_each_allocation(next, [&] {
    const auto tulip = live.all().find("team-a/tulip/blue");
    const bool has_its_replica = tulip != live.all().end() && tulip->second->replicas.size() == 1;
    return cluster->resources_refused() == (claims ? 2u : 0u) && has_its_replica != claims;
  });
}

TEST_F(PublicationOfResources, AreTakenUpLaterIfThereWasNoMemory) {
  put_tulip();
  fails = 20;
  cluster->start(process);
  follow();
  EXPECT_EQ(refused, 1u);
  EXPECT_EQ(changes, 2u);
  EXPECT_EQ(routed(), (Names{"iris", "tulip"}));
}

}  // namespace
}  // namespace router::serving
