#include "config/load.h"

#include <gmock/gmock.h>

#include <algorithm>

#include "config_folder.h"

namespace router::config::test {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

/// Sets an environment variable for one test.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) { ::setenv(name, value, 1); }
  ~Variable() { ::unsetenv(name_); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* const name_;
};

TEST(Load, PutsDeploymentsUnderTheirEndpoints) {
  const ConfigFolder folder;
  folder.write("endpoints/other.yml", "name: Other\n---\nname: blue\nendpoint_name: OTHER\n");
  const absl::StatusOr<Config> config = folder.load();
  ASSERT_TRUE(config.ok()) << config.status().message();
  ASSERT_EQ(config->endpoints.size(), 2u);
  EXPECT_EQ(config->endpoints[0].name, "my-endpoint");
  EXPECT_EQ(config->endpoints[1].name, "Other");
  ASSERT_EQ(config->endpoints[1].deployments.size(), 1u) << "two endpoints may have deployments of the same name";
}

TEST(Load, TellsAllMistakesOfAllFilesAtOnceInTheOrderOfTheLines) {
  const ConfigFolder folder;
  folder.write("router.yaml", "listeners:\n  - port: http\nthreads: many\nendpoints: [endpoints/*.yml]\nrubbish: 1\n");
  folder.write("endpoints/endpoint.yml", "name: my-endpoint\nauth_mode: none\ntraffic:\n  blue: 90\n");
  folder.write("endpoints/blue.yml", "name: blue\nendpoint_name: my-endpoint\nrequest_settings:\n  request_timeout_ms: soon\n");
  folder.write("endpoints/green.yml", "name: [\n");
  const std::string told = folder.mistakes();
  std::size_t last = 0;
  for (const char* expected : {"router.yaml:2: listeners[0].port", "\nrouter.yaml:3: threads", "\nrouter.yaml:5: rubbish",
                               "\nendpoints/green.yml:1: is not valid", "\nendpoints/blue.yml:4: ",
                               "\nendpoints/endpoint.yml:2: auth_mode", "\nendpoints/endpoint.yml:3: traffic"}) {
    const std::size_t at = told.find(expected);
    ASSERT_NE(at, told.npos) << expected << "\nmessage:\n" << told;
    EXPECT_GE(at, last) << "not in order: " << expected << "\nmessage:\n" << told;
    last = at;
  }
  EXPECT_EQ(std::count(told.begin(), told.end(), '\n'), 6) << told;
}

TEST(Load, LetsOthersJudgeWhatItNamesAlsoWhenThereAreMistakes) {
  const ConfigFolder folder;
  folder.write("router.yaml",
               "listeners:\n  - port: 8443\n    tls:\n      certificates:\n        - certificate_file: a.pem\n"
               "          key_file: b.pem\n          password_file: c\n        - directory: secret\n        - key_file: d.pem\n"
               "      ticket_key_files:\n        - one\n        - two\nthreads: many\nendpoints: [endpoints/*.yml]\n"
               "observe: {address: '127.0.0.1:1'}\naccess_log: stdout\n");
  folder.write("endpoints/orphan.yml", "name: green\nendpoint_name: nobody\nrouter:\n  tls:\n    ca_file: ca.pem\n");
  std::vector<std::string> locations;
  const auto note = [&](const Location& location) { locations.push_back(folder.without_root(text_of(location))); };
  const auto examine = [&](const Process& process, const std::vector<const Deployment*>& deployments, Findings& findings) {
    ASSERT_EQ(process.listeners.size(), 1u);
    const TlsOptions& tls = *process.listeners[0].tls;
    note(process.listeners[0].location);
    for (const Certificate& each : tls.certificates) note(each.certificate_location);
    note(tls.certificates[0].key_location);
    note(tls.certificates[0].password_location);
    for (const Location& each : tls.ticket_key_locations) note(each);
    for (const Location& each : {process.locations.threads, process.locations.observe_address, process.locations.access_log})
      note(each);
    for (const Deployment* each : deployments) {
      if (each->tls) note(each->tls->ca_location);
    }
    findings.mistake(tls.certificates[0].key_location, "is\nno key");
  };
  const absl::StatusOr<Config> config = load(folder.path("router.yaml"), nullptr, examine);
  ASSERT_FALSE(config.ok());
  EXPECT_EQ(locations,
            (std::vector<std::string>{
                "router.yaml:2: listeners[0]", "router.yaml:5: listeners[0].tls.certificates[0].certificate_file",
                "router.yaml:8: listeners[0].tls.certificates[1].directory",
                "router.yaml:9: listeners[0].tls.certificates[2].certificate_file",
                "router.yaml:6: listeners[0].tls.certificates[0].key_file",
                "router.yaml:7: listeners[0].tls.certificates[0].password_file",
                "router.yaml:11: listeners[0].tls.ticket_key_files[0]", "router.yaml:12: listeners[0].tls.ticket_key_files[1]",
                "router.yaml:13: threads", "router.yaml:15: observe.address", "router.yaml:16: access_log",
                "endpoints/orphan.yml:5: router.tls.ca_file"}));
  const std::string told = folder.without_root(std::string(config.status().message()));
  EXPECT_THAT(told, HasSubstr("router.yaml:6: listeners[0].tls.certificates[0].key_file: is?no key\n"
                              "router.yaml:9: listeners[0].tls.certificates[2].certificate_file: is missing"));
  EXPECT_THAT(told, HasSubstr("router.yaml:13: threads: "));
  EXPECT_THAT(told, HasSubstr("endpoints/orphan.yml:2: endpoint_name: "));
}

TEST(Load, TellsAtMostTwoHundredMistakes) {
  const ConfigFolder folder;
  std::string text = ConfigFolder::kBlue;
  for (int i = 0; i < 20000; ++i) text += "unknown" + std::to_string(i) + ": 1\n";
  folder.write("endpoints/blue.yml", text);
  const std::string told = folder.mistakes();
  EXPECT_EQ(std::count(told.begin(), told.end(), '\n'), 200);
  EXPECT_THAT(told, HasSubstr("\nand 19800 more"));
}

TEST(Load, RefusesOneEndpointInTwoFilesNamingBoth) {
  const ConfigFolder folder;
  folder.write("endpoints/again.yml", "# again\nname: MY-ENDPOINT\n");
  const std::string told = folder.mistakes();
  EXPECT_THAT(told, HasSubstr("endpoints/endpoint.yml:1: name: the endpoint `my-endpoint` is already described in "
                              "endpoints/again.yml:2"));
}

TEST(Load, RefusesOneEndpointTwiceInOneFile) {
  const ConfigFolder folder;
  folder.write("endpoints/endpoint.yml", std::string(ConfigFolder::kEndpoint) + "---\nname: my-endpoint\n");
  EXPECT_THAT(folder.mistakes(), HasSubstr("endpoints/endpoint.yml:8: name: the endpoint `my-endpoint` is already described in "
                                           "endpoints/endpoint.yml:1"));
}

TEST(Load, RefusesOneDeploymentInTwoFilesNamingBoth) {
  const ConfigFolder folder;
  folder.write("endpoints/copy.yml", "endpoint_name: my-endpoint\nname: BLUE\n");
  EXPECT_THAT(folder.mistakes(), HasSubstr("endpoints/copy.yml:2: name: the deployment `BLUE` of the endpoint `my-endpoint` is "
                                           "already described in endpoints/blue.yml:1"));
}

TEST(Load, RefusesOneHostNameForTwoEndpointsNamingBoth) {
  const ConfigFolder folder;
  folder.write("endpoints/a.yml", "name: a-1\nrouter:\n  hostnames: [models.example.com]\n");
  folder.write("endpoints/b.yml", "name: b-2\nrouter:\n  hostnames:\n    - MODELS.example.com\n");
  EXPECT_THAT(folder.mistakes(),
              HasSubstr("endpoints/b.yml:4: router.hostnames[0]: `models.example.com` is already declared in "
                        "endpoints/a.yml:3"));
}

TEST(Load, BlamesNobodyForWhatAnUnreadableFileMayHold) {
  const ConfigFolder folder;
  folder.write("endpoints/endpoint.yml", "name: my-endpoint\nauth_mode: [\n");
  EXPECT_THAT(folder.mistakes(), AllOf(HasSubstr("endpoints/endpoint.yml:2"), Not(HasSubstr("endpoint_name"))));
  folder.write("endpoints/endpoint.yml", ConfigFolder::kEndpoint);
  folder.write("endpoints/blue.yml", "name: {\n");
  EXPECT_THAT(folder.mistakes(), AllOf(HasSubstr("endpoints/blue.yml:1"), Not(HasSubstr("traffic"))));
}

TEST(Variables, StandForTheirValueInAnyScalar) {
  const Variable port("CONFIG_TEST_PORT", "8123");
  const Variable host("CONFIG_TEST_HOST", "pod-0");
  const ConfigFolder folder;
  folder.write("router.yaml",
               "listeners: [{port: '${CONFIG_TEST_PORT}'}]\nendpoints: ['end${CONFIG_TEST_EMPTY_}points/*.yml']\n");
  EXPECT_THAT(folder.mistakes(),
              HasSubstr("router.yaml:2: endpoints[0]: the environment variable CONFIG_TEST_EMPTY_ is not set"));
  const Variable empty("CONFIG_TEST_EMPTY_", "");
  folder.write("endpoints/blue.yml",
               "name: blue\nendpoint_name: my-endpoint\ntags: {price: $$5, plain: $x$}\n"
               "router: {replicas: ['${CONFIG_TEST_HOST}.pods:${CONFIG_TEST_PORT}']}\n");
  const absl::StatusOr<Config> config = folder.load();
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_EQ(config->process.listeners.at(0).port, 8123);
  const Deployment& deployment = config->endpoints.at(0).deployments.at(0);
  EXPECT_EQ(deployment.replicas.at(0).host, "pod-0.pods");
  EXPECT_EQ(deployment.replicas.at(0).port, 8123);
  EXPECT_EQ(deployment.tags.at("price"), "$5");
  EXPECT_EQ(deployment.tags.at("plain"), "$x$");
}

TEST(Variables, AreNotReadTwice) {
  const Variable outer("CONFIG_TEST_OUTER", "$${CONFIG_TEST_INNER}");
  const ConfigFolder folder;
  folder.write("router.yaml", std::string(ConfigFolder::kRouter) + "access_log: /${CONFIG_TEST_OUTER}\n");
  EXPECT_EQ(folder.load()->process.access_log, "/$${CONFIG_TEST_INNER}");
}

class BadVariable : public testing::TestWithParam<const char*> {};
TEST_P(BadVariable, IsRefusedWithItsLocation) {
  const ConfigFolder folder;
  folder.write("router.yaml", std::string(ConfigFolder::kRouter) + "access_log: \"" + GetParam() + "\"\n");
  EXPECT_THAT(folder.mistakes(), HasSubstr("router.yaml:4: access_log: "));
}
INSTANTIATE_TEST_SUITE_P(Spellings, BadVariable,
                         testing::Values("${CONFIG_TEST_NOT_SET}", "${", "${A", "${}", "a${1A}", "${A B}",
                                         "$$${CONFIG_TEST_NOT_SET}"));

TEST(Files, AreAllThatMatterForAChange) {
  const ConfigFolder folder;
  const std::vector<std::string> files = folder.load()->files;
  EXPECT_THAT(files,
              testing::ElementsAre(folder.path("router.yaml"), folder.path("endpoints"), folder.path("endpoints/blue.yml"),
                                   folder.path("endpoints/endpoint.yml"), folder.path("keys/primary")));
}

TEST(Files, AreToldOfABadConfigurationToo) {
  const ConfigFolder folder;
  folder.remove("keys/primary");
  std::vector<std::string> files;
  EXPECT_FALSE(load(folder.path("router.yaml"), &files).ok());
  EXPECT_THAT(files, Contains(folder.path("keys/primary")));
  EXPECT_THAT(files, Contains(folder.path("endpoints/blue.yml")));
}

TEST(Files, OfFoldersByPatternAreThoseFoldersAndTheOneThatHoldsThem) {
  const ConfigFolder folder;
  folder.write("router.yaml", "listeners: [{}]\nendpoints: [teams/*/*.yml]\n");
  folder.write("teams/one/e.yml", "name: one\n");
  folder.write("teams/two/e.yml", "name: two\n");
  folder.write("teams/two/deeper/e.yml", "name: three\n");
  const absl::StatusOr<Config> config = folder.load();
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_EQ(config->endpoints.size(), 2u);
  for (const char* each : {"teams", "teams/one", "teams/two"}) EXPECT_THAT(config->files, Contains(folder.path(each)));
}

TEST(Files, NamedTwiceAreReadOnceAndRouterYamlIsNoEndpoint) {
  const ConfigFolder folder;
  folder.write("router.yaml",
               "listeners: [{}]\nendpoints: ['*.yaml', endpoints/blue.yml, endpoints/*.yml, ./endpoints/*.yml]\n");
  EXPECT_EQ(folder.mistakes(), "");
}

TEST(Files, OfAFolderBehindALinkThatLeadsNowhereYetWereNotWaitedFor) {
  const ConfigFolder folder;
  folder.write("router.yaml", "listeners: [{}]\nendpoints: ['models/*/*.yml']\n");
  std::filesystem::create_directories(folder.path("models"));
  std::filesystem::create_symlink(folder.path("other"), folder.path("models/z"));
  const absl::StatusOr<Config> config = folder.load();
  ASSERT_TRUE(config.ok());
  EXPECT_THAT(config->files, testing::Contains(folder.path("models/z")));
}

TEST(Files, OfAnEmptyFolderAreAWarningOnly) {
  const ConfigFolder folder;
  folder.write("router.yaml", "listeners: [{}]\nendpoints: [none/*.yml]\n");
  EXPECT_THAT(folder.warnings(), HasSubstr("router.yaml:2: endpoints[0]: no file matches `none/*.yml`"));
}

TEST(Files, OfAFolderThatIsMissingAreNoticedWhenItComes) {
  const ConfigFolder folder;
  folder.write("router.yaml", "listeners: [{}]\nendpoints: [later/*.yml, 'teams/*/deeper/*.yml']\n");
  const absl::StatusOr<Config> config = folder.load();
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_THAT(config->files, AllOf(Contains(folder.path("later")), Contains(folder.path("teams"))));
}

TEST(Files, InAFolderWhoseNameLooksLikeAPatternAreFound) {
  const ConfigFolder folder;
  const std::string inner = "[a]*?\\b/";
  folder.write(inner + "router.yaml", ConfigFolder::kRouter);
  folder.write(inner + "endpoints/e.yml", "name: one\n");
  const absl::StatusOr<Config> config = load(folder.path(inner + "router.yaml"));
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_EQ(config->endpoints.size(), 1u);
  EXPECT_THAT(config->files, Contains(folder.path(inner + "endpoints")));
}

TEST(Load, RefusesANonsensePathWithoutThrowing) {
  EXPECT_FALSE(load("").ok());
  EXPECT_FALSE(load("/nowhere/router.yaml").ok());
  EXPECT_FALSE(load(std::string(100000, 'x')).ok());
  EXPECT_THAT(std::string(load("/nowhere/router.yaml").status().message()), HasSubstr("/nowhere/router.yaml: cannot be read"));
}

}  // namespace
}  // namespace router::config::test
