#include <gmock/gmock.h>

#include "config/router_yaml.h"
#include "config_folder.h"

namespace router::config::test {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const std::string kCluster = "listeners: [{port: 8080}]\nkubernetes: {}\n";
const std::string kPeers = "  peers: [10.0.0.1:9903, 10.0.0.2:9903]\n  key_file: fleet/keys\n";

Process accept(const ConfigFolder& folder, const std::string& text) {
  folder.write("router.yaml", text);
  const absl::StatusOr<Config> config = folder.load();
  EXPECT_TRUE(config.ok()) << config.status().message();
  return config.ok() ? config->process : Process{};
}

std::string refuse(const std::string& text) {
  const ConfigFolder folder;
  folder.write("router.yaml", text);
  const absl::StatusOr<Config> config = folder.load();
  EXPECT_FALSE(config.ok());
  return std::string(config.status().message());
}

TEST(FleetSection, IsOffUnlessItIsThere) {
  const ConfigFolder folder;
  EXPECT_FALSE(accept(folder, ConfigFolder::kRouter).fleet);
  EXPECT_FALSE(accept(folder, kCluster).fleet);
}

TEST(FleetSection, HasTheDocumentedDefaultsInACluster) {
  const ConfigFolder folder;
  const Process process = accept(folder, kCluster + "fleet: {advertise: 10.1.2.3:9903}\n");
  ASSERT_TRUE(process.fleet);
  const Fleet& fleet = *process.fleet;
  EXPECT_EQ(fleet.listen, "0.0.0.0:9903");
  EXPECT_EQ(fleet.advertise, "10.1.2.3:9903");
  EXPECT_EQ(fleet.lease_name, "inference-router-fleet");
  EXPECT_EQ(fleet.secret_name, "inference-router-fleet");
  EXPECT_EQ(fleet.pod_uid + fleet.key_file, "");
  EXPECT_THAT(fleet.peers, IsEmpty());
  EXPECT_EQ(fleet.running_grace, seconds(5));
  EXPECT_EQ(fleet.take_after, seconds(60));
  EXPECT_TRUE(fleet.trust_refused);
  EXPECT_EQ(fleet.location.line, 3);
}

TEST(FleetSection, TakesEveryKeyInACluster) {
  const ConfigFolder folder;
  const Process process = accept(folder, kCluster + R"(fleet:
  listen: "[::]:9999"
  advertise: "[fd00::1]:9999"
  lease: fleet-a
  secret: fleet-a-key
  pod_uid: 6f1f9f4e-7b9f-4a0f-9b0a-2f4c8f3d8a11
  running_grace_s: 30
  take_after_s: 90
  trust_refused: false
)");
  ASSERT_TRUE(process.fleet);
  EXPECT_EQ(process.fleet->listen, "[::]:9999");
  EXPECT_EQ(process.fleet->lease_name, "fleet-a");
  EXPECT_EQ(process.fleet->secret_name, "fleet-a-key");
  EXPECT_EQ(process.fleet->pod_uid, "6f1f9f4e-7b9f-4a0f-9b0a-2f4c8f3d8a11");
  EXPECT_EQ(process.fleet->running_grace, seconds(30));
  EXPECT_EQ(process.fleet->take_after, seconds(90));
  EXPECT_FALSE(process.fleet->trust_refused);
}

TEST(FleetSection, HasItsMembersAndItsKeyInFilesWithoutACluster) {
  const ConfigFolder folder;
  const Process process = accept(folder, std::string(ConfigFolder::kRouter) + "fleet:\n  advertise: 10.0.0.2:9903\n" + kPeers);
  ASSERT_TRUE(process.fleet);
  EXPECT_THAT(process.fleet->peers, ElementsAre("10.0.0.1:9903", "10.0.0.2:9903"));
  EXPECT_EQ(process.fleet->key_file, folder.path("fleet/keys"));
}

TEST(FleetSection, RefusesWhatBelongsToTheOtherSource) {
  const std::string in_cluster = refuse(kCluster + "fleet:\n  advertise: 10.0.0.2:9903\n" + kPeers);
  EXPECT_THAT(in_cluster, HasSubstr("fleet.peers: cannot stand beside kubernetes"));
  EXPECT_THAT(in_cluster, HasSubstr("fleet.key_file: cannot stand beside kubernetes"));
  const std::string fixed =
      refuse(std::string(ConfigFolder::kRouter) + "fleet: {advertise: 10.0.0.2:9903, lease: a, secret: b, take_after_s: 60}\n");
  for (const char* key : {"lease", "secret", "take_after_s"}) {
    EXPECT_THAT(fixed, HasSubstr("fleet." + std::string(key) + ": needs the section kubernetes"));
  }
  EXPECT_THAT(fixed, HasSubstr("fleet.peers: at least this router's own address is expected"));
  EXPECT_THAT(fixed, HasSubstr("fleet.key_file: a file with the key"));
}

TEST(FleetSection, RefusesAddressesThatNobodyCanDial) {
  EXPECT_THAT(refuse(kCluster + "fleet: {}\n"), HasSubstr("advertise"));
  EXPECT_THAT(refuse(kCluster + "fleet: {advertise: router.example:9903}\n"), HasSubstr("is not an IP address with a port"));
  EXPECT_THAT(refuse(kCluster + "fleet: {advertise: 10.0.0.1}\n"), HasSubstr("is not an IP address with a port"));
  EXPECT_THAT(refuse(kCluster + "fleet: {advertise: \"10.0.0.1:0\"}\n"), HasSubstr("is not an IP address with a port"));
  EXPECT_THAT(refuse(kCluster + "fleet: {advertise: \"0.0.0.0:9903\"}\n"), HasSubstr("cannot be dialled"));
  EXPECT_THAT(refuse(kCluster + "fleet: {advertise: \"[::]:9903\"}\n"), HasSubstr("cannot be dialled"));
  EXPECT_THAT(refuse(kCluster + "fleet: {advertise: \"10.0.0.1:9903\", listen: all}\n"), HasSubstr("fleet.listen"));
}

TEST(FleetSection, RefusesAListWithoutThisRouterAndOneTwice) {
  const std::string head = std::string(ConfigFolder::kRouter) + "fleet:\n  key_file: k\n  advertise: 10.0.0.3:9903\n";
  EXPECT_THAT(refuse(head + "  peers: [10.0.0.1:9903]\n"), HasSubstr("lack this router's own address"));
  EXPECT_THAT(refuse(head + "  peers: [10.0.0.3:9903, 10.0.0.3:9903]\n"), HasSubstr("is given twice"));
  std::string many = head + "  peers: [10.0.0.3:9903";
  for (int i = 0; i < 64; ++i) many += ", 10.0.1." + std::to_string(i) + ":9903";
  EXPECT_THAT(refuse(many + "]\n"), HasSubstr("at most 64 members"));
}

TEST(FleetSection, KeepsItsTimesWithinTheirRange) {
  EXPECT_THAT(refuse(kCluster + "fleet: {advertise: \"10.0.0.1:9903\", running_grace_s: 31}\n"), HasSubstr("running_grace_s"));
  EXPECT_THAT(refuse(kCluster + "fleet: {advertise: \"10.0.0.1:9903\", take_after_s: 29}\n"), HasSubstr("take_after_s"));
}

}  // namespace
}  // namespace router::config::test
