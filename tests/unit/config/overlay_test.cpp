#include "config/overlay.h"

#include <gmock/gmock.h>

#include "config_folder.h"

namespace router::config::test {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

/// A folder with Azure ML's own files, which have no key of the router's, and an overlay with the router's settings.
class AzureFolder : public ConfigFolder {
 public:
  AzureFolder() {
    write("endpoints/endpoint.yml", kAzureEndpoint);
    write("endpoints/blue.yml", kAzureBlue);
    write("endpoints/iris.overlay.yml", kOverlay);
    write("endpoints/keys/iris", "a-key-for-tests\n");
  }
  static constexpr const char* kAzureEndpoint =
      "$schema: https://azuremlschemas.azureedge.net/latest/kubernetesOnlineEndpoint.schema.json\nname: iris\n"
      "compute: azureml:cluster\nauth_mode: Key\n";
  static constexpr const char* kAzureBlue =
      "$schema: https://azuremlschemas.azureedge.net/latest/kubernetesOnlineDeployment.schema.json\nname: blue\n"
      "type: kubernetes\nmodel: {path: ../model}\ninstance_count: 1\n";
  static constexpr const char* kOverlay =
      "endpoints:\n"
      "  iris:\n"
      "    keys: {primary_file: keys/iris}\n"
      "    traffic: {blue: 100}\n"
      "    deployments:\n"
      "      blue:\n"
      "        replicas: ['127.0.0.1:5001']\n"
      "files:\n"
      "  blue.yml: {endpoint_name: iris}\n";
};

TEST(Overlay, SaysWhatAzuresFilesLeaveOut) {
  const AzureFolder folder;
  const absl::StatusOr<Config> config = folder.load();
  ASSERT_TRUE(config.ok()) << config.status().message();
  ASSERT_EQ(config->endpoints.size(), 1u);
  const Endpoint& endpoint = config->endpoints[0];
  EXPECT_EQ(endpoint.name, "iris");
  EXPECT_EQ(endpoint.primary_key_file, folder.path("endpoints/keys/iris")) << "relative to the overlay";
  EXPECT_EQ(endpoint.keys.size(), 1u);
  EXPECT_EQ(endpoint.traffic.at("blue"), 100);
  ASSERT_EQ(endpoint.deployments.size(), 1u);
  ASSERT_EQ(endpoint.deployments[0].replicas.size(), 1u);
  EXPECT_EQ(endpoint.deployments[0].replicas[0].port, 5001);
  EXPECT_THAT(config->warnings, IsEmpty());
  EXPECT_THAT(config->files, Contains(folder.path("endpoints/iris.overlay.yml")));
}

TEST(Overlay, MayBeSpreadOverSeveralFilesAndComparesNamesWithoutCase) {
  const AzureFolder folder;
  folder.write("endpoints/iris.overlay.yml",
               "endpoints:\n  IRIS:\n    keys: {primary_file: keys/iris}\n    deployments: {BLUE: {abort_wait_ms: 5}}\n"
               "files: {./blue.yml: {endpoint_name: Iris}}\n");
  folder.write("endpoints/more.overlay.yaml",
               "endpoints:\n  Iris:\n    hostnames: [iris.example.com]\n    traffic: {Blue: 100}\n"
               "    deployments: {Blue: {replicas: ['10.0.0.1']}}\n");
  const absl::StatusOr<Config> config = folder.load();
  ASSERT_TRUE(config.ok()) << config.status().message();
  const Endpoint& endpoint = config->endpoints.at(0);
  EXPECT_EQ(endpoint.hostnames.at(0), "iris.example.com");
  EXPECT_EQ(endpoint.traffic.at("blue"), 100);
  EXPECT_EQ(endpoint.deployments.at(0).replicas.size(), 1u);
  EXPECT_EQ(endpoint.deployments.at(0).abort_wait.count(), 5);
}

TEST(Overlay, IsFoundByItsNameAlsoWhereNoPatternMatchesIt) {
  const AzureFolder folder;
  folder.write("router.yaml", "listeners: [{}]\nendpoints: [endpoints/endpoint.yml, endpoints/blue.yml]\n");
  EXPECT_EQ(folder.mistakes(), "");
  folder.remove("endpoints/iris.overlay.yml");
  folder.write("endpoints/iris.overlay.yaml", AzureFolder::kOverlay);
  EXPECT_EQ(folder.mistakes(), "");
  folder.write("router.yaml", "listeners: [{}]\nendpoints: ['endpoints/*.yml', 'endpoints/*.overlay.yaml']\n");
  EXPECT_EQ(folder.mistakes(), "") << "a list of files may name an overlay";
  EXPECT_EQ(folder.warnings(), "");
  folder.write("router.yaml", "listeners: [{}]\nendpoints: [endpoints/*.overlay.yml]\n");
  EXPECT_THAT(folder.mistakes(), HasSubstr("endpoints.iris: no file describes an endpoint of this name; there is none"));
}

TEST(Overlay, AloneInAFolderWasCalledNoFile) {
  const ConfigFolder folder;
  folder.write("router.yaml", "listeners: [{}]\nendpoints: [endpoints/*.yml, alone/*.yml]\n");
  EXPECT_THAT(folder.warnings(), HasSubstr("no file matches `alone/*.yml`"));
  folder.write("alone/a.overlay.yml", "endpoints: {my-endpoint: {hostnames: [a.example.com]}}\n");
  EXPECT_EQ(folder.warnings(), "");
}

TEST(Overlay, IsFoundInEachFolderThatAPatternFinds) {
  const AzureFolder folder;
  folder.write("router.yaml", "listeners: [{}]\nendpoints: ['*/endpoint.yml', '*/blue.yml']\n");
  EXPECT_EQ(folder.mistakes(), "");
}

TEST(Overlay, WinsOverTheTrafficAndTheNamesOfTheFile) {
  const AzureFolder folder;
  folder.write("endpoints/endpoint.yml", "name: wrong\nauth_mode: key\ntraffic: {green: 100}\nmirror_traffic: {blue: 10}\n");
  folder.write("endpoints/blue.yml", "name: red\nendpoint_name: wrong\nmodel: {path: m}\n");
  folder.write("endpoints/iris.overlay.yml",
               "endpoints: {iris: {traffic: {blue: 100}, mirror_traffic: {blue: 0}, keys: {primary_file: keys/iris}}}\n"
               "files: {blue.yml: {name: blue, endpoint_name: iris}, endpoint.yml: {name: iris}}\n");
  const absl::StatusOr<Config> config = folder.load();
  ASSERT_TRUE(config.ok()) << config.status().message();
  const Endpoint& endpoint = config->endpoints.at(0);
  EXPECT_EQ(endpoint.name, "iris");
  EXPECT_EQ(endpoint.traffic, (std::map<std::string, int>{{"blue", 100}}));
  EXPECT_EQ(endpoint.mirror_traffic, (std::map<std::string, int>{{"blue", 0}}));
}

TEST(Overlay, GivesAllTrafficToADeploymentAsAzDoes) {
  const AzureFolder folder;
  folder.write("endpoints/endpoint.yml", std::string(AzureFolder::kAzureEndpoint) + "traffic: {old: 100}\n");
  folder.write("endpoints/iris.overlay.yml", "files: {blue.yml: {endpoint_name: IRIS, all_traffic: true}}\n");
  const absl::StatusOr<Config> config = folder.load();
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_EQ(config->endpoints.at(0).traffic, (std::map<std::string, int>{{"blue", 100}}));
  folder.write("endpoints/iris.overlay.yml", "files: {blue.yml: {endpoint_name: IRIS, all_traffic: no}}\n");
  folder.write("endpoints/endpoint.yml", AzureFolder::kAzureEndpoint);
  EXPECT_THAT(folder.load()->endpoints.at(0).traffic, IsEmpty());
}

TEST(Overlay, LetsKeysOfRouterInTheFileStand) {
  const AzureFolder folder;
  folder.write("endpoints/blue.yml", std::string(AzureFolder::kAzureBlue) + "router: {max_queue_length: 7}\n");
  const absl::StatusOr<Config> config = folder.load();
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_EQ(config->endpoints.at(0).deployments.at(0).max_queue_length, 7u);
  EXPECT_EQ(config->endpoints.at(0).deployments.at(0).replicas.size(), 1u);
}

TEST(Overlay, IsReadWithTheVariablesOfTheEnvironment) {
  const AzureFolder folder;
  ::setenv("CONFIG_TEST_REPLICA", "10.0.0.9:81", 1);
  folder.write("endpoints/iris.overlay.yml",
               "endpoints: {iris: {deployments: {blue: {replicas: ['${CONFIG_TEST_REPLICA}']}}}}\n"
               "files: {blue.yml: {endpoint_name: iris}}\n");
  const absl::StatusOr<Config> config = folder.load();
  ::unsetenv("CONFIG_TEST_REPLICA");
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_EQ(config->endpoints.at(0).deployments.at(0).replicas.at(0).port, 81);
}

TEST(Overlay, IsWatchedAlsoWhenItIsBad) {
  const AzureFolder folder;
  folder.write("endpoints/iris.overlay.yml", "endpoints: [\n");
  std::vector<std::string> files;
  EXPECT_FALSE(load(folder.path("router.yaml"), &files).ok());
  EXPECT_THAT(files, Contains(folder.path("endpoints/iris.overlay.yml")));
  EXPECT_THAT(files, Contains(folder.path("endpoints")));
}

TEST(Overlay, ThatCannotBeReadIsTheOnlyOneToBlame) {
  const AzureFolder folder;
  folder.write("endpoints/iris.overlay.yml", "endpoints: [\n");
  const std::string told = folder.mistakes();
  EXPECT_THAT(told, AllOf(HasSubstr("endpoints/iris.overlay.yml:"), Not(HasSubstr("blue.yml"))));
}

TEST(Overlay, TellsAllMistakesAtOnceEachWithItsOwnFileLineAndKey) {
  const AzureFolder folder;
  folder.write("endpoints/iris.overlay.yml",
               "endpoints:\n"
               "  iris:\n"
               "    keys: {primary_file: keys/none}\n"
               "    traffic: {blue: 90}\n"
               "    hostname: x\n"
               "    deployments:\n"
               "      blue:\n"
               "        replicas: [':0']\n"
               "        tls:\n"
               "          ca_file: [a]\n"
               "        replica: 1\n"
               "      green: {}\n"
               "  rose: {}\n"
               "files:\n"
               "  blue.yml: {endpoint_name: iris, traffic: 1, name: '1'}\n"
               "  green.yml: {name: a-b}\n"
               "file: 1\n");
  const std::string told = folder.mistakes();
  const std::string file = "endpoints/iris.overlay.yml:";
  constexpr const char* kKnown =
      "5: endpoints.iris.hostname: unknown key; perhaps `hostnames` is meant; known here: deployments, "
      "forward_authorization, hostnames, keys, mirror_traffic, status_profile, traffic";
  for (const char* each :
       {kKnown, "3: endpoints.iris.keys.primary_file: ", "4: endpoints.iris.traffic: the percentages sum to 90",
        "15: files.blue.yml.traffic: unknown key; perhaps `all_traffic` is meant; known here: all_traffic, endpoint_name, name",
        "15: files.blue.yml.name: `1` is not a name",
        "17: file: unknown key; perhaps `files` is meant; known here: endpoints, files",
        "13: endpoints.rose: no file describes an endpoint of this name; there is iris",
        "12: endpoints.iris.deployments.green: the endpoint has no deployment of this name; there is 1",
        "is not among the files of endpoints and deployments; there is blue.yml, endpoint.yml"}) {
    EXPECT_THAT(told, HasSubstr(each));
  }
  folder.write("endpoints/iris.overlay.yml",
               "endpoints:\n  iris:\n    deployments:\n      blue:\n        replicas: [':0']\n        tls:\n"
               "          ca_file: [a]\n        replica: 1\nfiles: {blue.yml: {endpoint_name: iris}}\n");
  const std::string of_deployment = folder.mistakes();
  for (const char* each :
       {"5: endpoints.iris.deployments.blue.replicas[0]: `:0` is not host:port",
        "7: endpoints.iris.deployments.blue.tls.ca_file: a single value is expected",
        "8: endpoints.iris.deployments.blue.replica: unknown key; perhaps `replicas` is meant; known here: abort_wait_ms"}) {
    EXPECT_THAT(of_deployment, HasSubstr(file + each));
  }
}

/// The same setting at two locations.
struct Twice {
  const char* name;
  const char* overlay;
  const char* second_overlay;
  const char* router;  // of blue.yml
  const char* told;
};
void PrintTo(const Twice& twice, std::ostream* out) { *out << twice.name; }
class SaidTwice : public testing::TestWithParam<Twice> {};
TEST_P(SaidTwice, IsAMistakeThatNamesBothLocations) {
  const AzureFolder folder;
  folder.write("endpoints/a.overlay.yml", GetParam().overlay);
  folder.write("endpoints/b.overlay.yml", GetParam().second_overlay);
  folder.write("endpoints/iris.overlay.yml", "files: {blue.yml: {endpoint_name: iris}}\n");
  folder.write("endpoints/green.yml", "name: green\nendpoint_name: iris\nmodel: {path: m}\n");
  folder.write("endpoints/blue.yml", std::string(AzureFolder::kAzureBlue) + GetParam().router);
  EXPECT_THAT(folder.mistakes(), HasSubstr(GetParam().told));
}
INSTANTIATE_TEST_SUITE_P(
    Locations, SaidTwice,
    testing::Values(
        Twice{"InTheFileAndInAnOverlay", "endpoints: {iris: {deployments: {blue: {replicas: [a:1]}}}}\n", "",
              "router:\n  replicas: [b:1]\n",
              "endpoints/a.overlay.yml:1: endpoints.iris.deployments.blue.replicas: stands in endpoints/blue.yml:7 under "
              "router, too"},
        Twice{"InTwoOverlays", "endpoints: {iris: {deployments: {blue: {replicas: [a:1]}}}}\n",
              "endpoints:\n  IRIS:\n    deployments: {BLUE: {replicas: [a:1]}}\n", "",
              "endpoints/b.overlay.yml:3: endpoints.IRIS.deployments.BLUE.replicas: stands in endpoints/a.overlay.yml:1, too"},
        Twice{"InOneOverlay", "endpoints: {iris: {hostnames: [a.b]}, Iris: {hostnames: [c.d]}}\n", "", "",
              "endpoints/a.overlay.yml:1: endpoints.Iris.hostnames: stands in endpoints/a.overlay.yml:1, too"},
        Twice{"TheTraffic", "endpoints: {iris: {traffic: {blue: 100}}}\n", "endpoints: {iris: {traffic: {blue: 0}}}\n", "",
              "endpoints/b.overlay.yml:1: endpoints.iris.traffic: stands in endpoints/a.overlay.yml:1, too"},
        Twice{"TheEndpointOfAFile", "files: {blue.yml: {endpoint_name: rose}}\n", "", "",
              "endpoints/iris.overlay.yml:1: files.blue.yml.endpoint_name: stands in endpoints/a.overlay.yml:1, too"},
        Twice{"TrafficAndAllTraffic", "endpoints: {iris: {traffic: {blue: 100}}}\n", "files: {blue.yml: {all_traffic: true}}\n",
              "", "b.overlay.yml:1: files.blue.yml.all_traffic: the traffic of the endpoint `iris` stands in "},
        Twice{"AllTrafficOfTwo", "files: {blue.yml: {all_traffic: true}}\n", "files: {green.yml: {all_traffic: true}}\n", "",
              "b.overlay.yml:1: files.green.yml.all_traffic: another deployment of this endpoint gets all of its traffic in "}),
    [](const auto& test) { return std::string(test.param.name); });

/// A key of `files` that has no meaning there.
TEST(Overlay, SpeaksOnlyOfFilesWithOneDocument) {
  const AzureFolder folder;
  folder.write("endpoints/blue.yml",
               std::string(AzureFolder::kAzureBlue) + "endpoint_name: iris\n---\nname: green\nendpoint_name: iris\n");
  EXPECT_THAT(folder.mistakes(), HasSubstr("endpoints/iris.overlay.yml:9: files.blue.yml: the file holds 2 documents"));
}
TEST(Overlay, GivesNoEndpointAnEndpoint) {
  const AzureFolder folder;
  folder.write("endpoints/more.overlay.yml", "files: {endpoint.yml: {endpoint_name: iris, all_traffic: true}}\n");
  const std::string told = folder.mistakes();
  EXPECT_THAT(told, HasSubstr("files.endpoint.yml.endpoint_name: endpoints/endpoint.yml describes an endpoint"));
  EXPECT_THAT(told, HasSubstr("files.endpoint.yml.all_traffic: endpoints/endpoint.yml describes an endpoint"));
}

class BadOverlay : public testing::TestWithParam<BadFile> {};
TEST_P(BadOverlay, IsRefused) {
  const AzureFolder folder;
  ASSERT_EQ(folder.mistakes(), "");
  folder.write(GetParam().file, GetParam().text);
  EXPECT_THAT(folder.mistakes(), HasSubstr(GetParam().told));
}
constexpr const char* kFile = "endpoints/bad.overlay.yml";
INSTANTIATE_TEST_SUITE_P(
    Kinds, BadOverlay,
    testing::Values(BadFile{"AList", kFile, "- a\n", "bad.overlay.yml:1: a map with the keys endpoints and files is expected"},
                    BadFile{"AScalarForAnEndpoint", kFile, "endpoints: {iris: 1}\n",
                            "bad.overlay.yml:1: endpoints.iris: a map of keys"},
                    BadFile{"NothingForADeployment", kFile, "endpoints: {iris: {deployments: {blue: }}}\n",
                            "bad.overlay.yml:1: endpoints.iris.deployments.blue: has no value"},
                    BadFile{"NothingForAKey", kFile, "endpoints: {iris: {hostnames: }}\n",
                            "bad.overlay.yml:1: endpoints.iris.hostnames: has no value"},
                    BadFile{"AScalarForAFile", kFile, "files: {endpoint.yml: iris}\n",
                            "bad.overlay.yml:1: files.endpoint.yml: a map of keys"},
                    BadFile{"AWordForAllTraffic", kFile, "files: {blue.yml: {all_traffic: some}}\n",
                            "bad.overlay.yml:1: files.blue.yml.all_traffic: `some` is neither true nor false"},
                    BadFile{"AListForAName", kFile, "files: {endpoint.yml: {name: [a]}}\n",
                            "bad.overlay.yml:1: files.endpoint.yml.name: a single value is expected"},
                    BadFile{"AKeyOfResources", kFile, "endpoints: {iris: {deployments: {blue: {service: {name: a}}}}}\n",
                            "bad.overlay.yml:1: endpoints.iris.deployments.blue.service: names a Service"},
                    BadFile{"AFileOfAnotherName", "endpoints/overlay.yml", "endpoints: {}\n",
                            "overlay.yml:1: endpoints: is a key of overlays, whose files have names that end in .overlay.yml"},
                    BadFile{"MoreThanAMegabyte", kFile, "#" + std::string(1024 * 1024, 'x') + "\n",
                            "bad.overlay.yml: is larger than 1048576 bytes"},
                    BadFile{"AKeyTwice", kFile, "endpoints: {}\nendpoints: {}\n", "bad.overlay.yml:2: "}),
    name_of);

TEST(Overlay, NamesOnlyPathsOfKeyFilesInMistakes) {
  const AzureFolder folder;
  folder.write("endpoints/keys/iris", "secret part\n");
  EXPECT_THAT(folder.mistakes(),
              AllOf(HasSubstr("endpoints/iris.overlay.yml:3: endpoints.iris.keys.primary_file: "), Not(HasSubstr("secret"))));
}

TEST(OverlayDocuments, AreReadTogetherWithoutTheEnvironmentForConvert) {
  const AzureFolder folder;
  folder.write("endpoints/iris.overlay.yml",
               "endpoints: {iris: {deployments: {blue: {replicas: ['${NOWHERE}']}}}}\n"
               "files: {blue.yml: {endpoint_name: iris, all_traffic: true}}\n");
  Findings findings;
  const FileDocuments found = read_documents(
      {folder.path("endpoints/iris.overlay.yml"), folder.path("endpoints/endpoint.yml"), folder.path("endpoints/blue.yml")},
      findings, Source::kResource);
  EXPECT_EQ(findings.mistakes(), "");
  ASSERT_EQ(found.all.size(), 2u);
  EXPECT_EQ(found.all[0].file, folder.path("endpoints/endpoint.yml"));
  EXPECT_EQ(found.all[0].value->members.back().key, "traffic");
  EXPECT_EQ(found.all[1].value->members.back().key, "router");
}

TEST(OverlayDocuments, AreOfTheEndpointThatTheCommandLineNames) {
  const AzureFolder folder;
  folder.write("endpoints/iris.overlay.yml",
               "endpoints: {other: {traffic: {blue: 100}, deployments: {blue: {abort_wait_ms: 5}}}}\n");
  Findings findings;
  const FileDocuments found = read_documents(
      {folder.path("endpoints/iris.overlay.yml"), folder.path("endpoints/endpoint.yml"), folder.path("endpoints/blue.yml")},
      findings, Source::kResource, "other");
  EXPECT_EQ(findings.mistakes(), "");
  ASSERT_EQ(found.all.size(), 2u);
  EXPECT_EQ(found.all[0].value->members[1].value->scalar, "other") << "it replaces iris";
  EXPECT_EQ(found.all[0].value->members.back().key, "traffic");
  EXPECT_EQ(found.all[1].value->members.back().key, "router");
}

}  // namespace
}  // namespace router::config::test
