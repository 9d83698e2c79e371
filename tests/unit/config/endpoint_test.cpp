#include <gmock/gmock.h>
#include <sys/resource.h>

#include "config/keys.h"
#include "config_folder.h"

namespace router::config::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;

const std::string kGood = ConfigFolder::kEndpoint;
const std::string kGreen = "name: Green\nendpoint_name: MY-endpoint\nrouter: {replicas: ['10.0.0.2']}\n";

TEST(EndpointFile, IsTakenAsAzureMlWritesItForKubernetes) {
  const ConfigFolder folder;
  folder.write("endpoints/endpoint.yml",
               R"($schema: https://azuremlschemas.azureedge.net/latest/kubernetesOnlineEndpoint.schema.json
# A comment, as others have it.

name: my-endpoint
compute: azureml:some-cluster
auth_mode: Key
tags:
  owner: somebody
)");
  const absl::StatusOr<Config> config = folder.load();
  ASSERT_TRUE(config.ok()) << config.status().message();
  const Endpoint& endpoint = config->endpoints.at(0);
  EXPECT_EQ(endpoint.name, "my-endpoint");
  EXPECT_EQ(endpoint.file, folder.path("endpoints/endpoint.yml"));
  EXPECT_EQ(endpoint.auth_mode, AuthMode::kKey);
  EXPECT_THAT(endpoint.traffic, IsEmpty());
  EXPECT_THAT(endpoint.keys, IsEmpty());
  EXPECT_EQ(endpoint.status_profile, StatusProfile::kKubernetes);
  EXPECT_FALSE(endpoint.forward_authorization);
  EXPECT_THAT(endpoint.ignored_keys, ElementsAre("$schema", "tags", "compute"));
  EXPECT_EQ(endpoint.deployments.size(), 1u);
}

TEST(EndpointFile, KnowsEveryKeyOfThePublicSchemas) {
  const ConfigFolder folder;
  folder.write("endpoints/endpoint.yml",
               R"($schema: https://azuremlschemas.azureedge.net/latest/managedOnlineEndpoint.schema.json
id: /subscriptions/none
name: my-endpoint
description: some words
tags: {one: 1, none: , "true": true}
properties: {azureml.something: yes}
auth_mode: AADToken
compute: azureml:c
traffic: {blue: 100}
mirror_traffic: {blue: 10}
identity:
  type: user_assigned
  user_assigned_identities: [{resource_id: id}]
public_network_access: Enabled
kind: Managed
location: westeurope
scoring_uri: https://example.com/score
openapi_uri: https://example.com/swagger.json
provisioning_state: Succeeded
resourceGroup: my-group
)");
  EXPECT_EQ(folder.mistakes(), "");
  const Endpoint endpoint = folder.load()->endpoints.at(0);
  EXPECT_EQ(endpoint.auth_mode, AuthMode::kAadToken);
  EXPECT_THAT(endpoint.mirror_traffic, ElementsAre(Pair("blue", 10)));
}

TEST(EndpointFile, TakesEveryKeyOfTheExtension) {
  const ConfigFolder folder;
  folder.write("keys/secondary", "another-key\r\n");
  folder.write("endpoints/endpoint.yml", R"(name: my-endpoint
traffic: {blue: 100}
router:
  hostnames: [Models.Example.COM, other]
  keys: {primary_file: ../keys/primary, secondary_file: ../keys/secondary}
  status_profile: Managed
  forward_authorization: true
)");
  const absl::StatusOr<Config> config = folder.load();
  ASSERT_TRUE(config.ok()) << config.status().message();
  const Endpoint& endpoint = config->endpoints.at(0);
  EXPECT_THAT(endpoint.hostnames, ElementsAre("models.example.com", "other"));
  EXPECT_EQ(endpoint.primary_key_file, folder.path("keys/primary"));
  EXPECT_EQ(endpoint.secondary_key_file, folder.path("keys/secondary"));
  ASSERT_EQ(endpoint.keys.size(), 2u);
  EXPECT_EQ(endpoint.keys[0].value, "a-key-for-tests");
  EXPECT_EQ(endpoint.keys[1].value, "another-key");
  EXPECT_EQ(endpoint.keys[0].name, KeyName::kPrimary);
  EXPECT_EQ(endpoint.keys[1].name, KeyName::kSecondary);
  EXPECT_EQ(endpoint.status_profile, StatusProfile::kManaged);
  EXPECT_TRUE(endpoint.forward_authorization);
  EXPECT_THAT(config->warnings, IsEmpty());
}

TEST(EndpointFile, NamesDeploymentsWithoutRegardToCase) {
  const ConfigFolder folder;
  folder.write("endpoints/green.yml", kGreen);
  folder.write("endpoints/endpoint.yml", "name: my-endpoint\ntraffic: {BLUE: 30, green: 70}\nmirror_traffic: {gREEN: 50}\n");
  const absl::StatusOr<Config> config = folder.load();
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_THAT(config->endpoints.at(0).traffic, ElementsAre(Pair("Green", 70), Pair("blue", 30)));
  EXPECT_THAT(config->endpoints.at(0).mirror_traffic, ElementsAre(Pair("Green", 50)));
}

TEST(EndpointFile, KeepsTheNameOfALoneSecondaryKey) {
  const ConfigFolder folder;
  folder.write("keys/secondary", "another-key\n");
  folder.write("endpoints/endpoint.yml",
               "name: my-endpoint\ntraffic: {blue: 100}\nrouter: {keys: {secondary_file: ../keys/secondary}}\n");
  const absl::StatusOr<Config> config = folder.load();
  ASSERT_TRUE(config.ok()) << config.status().message();
  ASSERT_EQ(config->endpoints.at(0).keys.size(), 1u);
  EXPECT_EQ(config->endpoints.at(0).keys[0].name, KeyName::kSecondary);
}

TEST(EndpointFile, WithoutKeysOrTrafficIsTakenWithAWarning) {
  const ConfigFolder folder;
  folder.write("endpoints/endpoint.yml", "name: my-endpoint\ntraffic: {blue: 0}\n");
  EXPECT_THAT(folder.warnings(), HasSubstr("endpoints/endpoint.yml:1: router.keys: the endpoint has no keys"));
  EXPECT_THAT(folder.warnings(), HasSubstr("endpoints/endpoint.yml:2: traffic: no deployment gets any"));
  EXPECT_THAT(folder.load()->endpoints.at(0).keys, IsEmpty());
}

TEST(EndpointFile, WithTokensIsTakenButSaidToStayClosed) {
  const ConfigFolder folder;
  for (const char* mode : {"aml_token", "AMLToken", "aad_token", "AAD_TOKEN"}) {
    folder.write("endpoints/endpoint.yml", std::string("name: my-endpoint\nauth_mode: ") + mode + "\ntraffic: {blue: 100}\n");
    EXPECT_THAT(folder.warnings(), HasSubstr("endpoints/endpoint.yml:2: auth_mode: tokens are not supported yet"));
    EXPECT_NE(folder.load()->endpoints.at(0).auth_mode, AuthMode::kKey);
  }
}

TEST(EndpointKeys, AreNeverShown) {
  const ConfigFolder folder;
  folder.write("keys/primary", "TOP SECRET\n");
  EXPECT_THAT(folder.mistakes(), HasSubstr("endpoints/endpoint.yml:6: router.keys.primary_file"));
  EXPECT_THAT(folder.mistakes(), testing::Not(HasSubstr("SECRET")));
}

/// Notepad and PowerShell write a byte order mark. `az` accepts such a file, and so do the router's readers of YAML and PEM.
TEST(EndpointKeys, WereRefusedWithAByteOrderMark) {
  const ConfigFolder folder;
  folder.write("keys/primary",
               "\xef\xbb\xbf"
               "a-key-for-tests\r\n");
  EXPECT_EQ(folder.mistakes(), "");
  EXPECT_EQ(folder.load()->endpoints.at(0).keys.at(0).value, "a-key-for-tests");
}

/// Keys are read again even if the rest of the configuration has mistakes: otherwise an operator could not revoke a key.
TEST(EndpointKeys, StayedValidAfterTheirFileWasTakenAway) {
  const ConfigFolder folder;
  folder.write("keys/secondary", "another-key\n");
  folder.write("endpoints/endpoint.yml",
               "name: my-endpoint\nrouter:\n  keys: {primary_file: ../keys/primary, "
               "secondary_file: ../keys/secondary}\n");
  std::vector<Endpoint> endpoints = folder.load()->endpoints;
  EXPECT_THAT(read_keys_again(endpoints).told, IsEmpty()) << "nothing has changed";
  folder.write("keys/primary", "a-new-key\n");
  EXPECT_THAT(read_keys_again(endpoints).told, ElementsAre("endpoint my-endpoint: 2 keys open it"));
  ASSERT_EQ(endpoints.at(0).keys.size(), 2u);
  EXPECT_EQ(endpoints.at(0).keys[0].value, "a-new-key");
  EXPECT_EQ(endpoints.at(0).keys[1].value, "another-key");
  folder.remove("keys/primary");
  EXPECT_THAT(read_keys_again(endpoints).told, ElementsAre(HasSubstr("1 keys open it; ")));
  ASSERT_EQ(endpoints.at(0).keys.size(), 1u);
  EXPECT_EQ(endpoints.at(0).keys[0].value, "another-key");
  EXPECT_EQ(endpoints.at(0).keys[0].name, KeyName::kSecondary) << "the access log shows the name";
  folder.remove("keys/secondary");
  folder.write("keys/primary", "another-key\n");
  EXPECT_THAT(read_keys_again(endpoints).told, ElementsAre(HasSubstr("1 keys open it; ")))
      << "the key is in the other file now";
  EXPECT_EQ(endpoints.at(0).keys.at(0).name, KeyName::kPrimary);
  folder.remove("keys/primary");
  folder.write("keys/secondary", "TOP SECRET\n");
  const KeysAgain spoilt = read_keys_again(endpoints);
  EXPECT_THAT(spoilt.told, ElementsAre(HasSubstr("0 keys open it; ")));
  EXPECT_THAT(spoilt.told.front(), testing::Not(HasSubstr("SECRET")));
  EXPECT_FALSE(spoilt.out_of_reach);
  EXPECT_THAT(endpoints.at(0).keys, IsEmpty());
}

/// A shortage of descriptors in this process says nothing about a file.
TEST(EndpointKeys, StayWhileThisProcessCanOpenNoFile) {
  const ConfigFolder folder;
  std::vector<Endpoint> endpoints = folder.load()->endpoints;
  folder.write("keys/primary", "a-new-key\n");
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none{0, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  const KeysAgain found = read_keys_again(endpoints);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_TRUE(found.out_of_reach);
  EXPECT_THAT(found.told, IsEmpty());
  EXPECT_EQ(endpoints.at(0).keys.at(0).value, "a-key-for-tests");
}

class BadKeyFile : public testing::TestWithParam<std::pair<std::string, const char*>> {};
TEST_P(BadKeyFile, IsRefused) {
  const ConfigFolder folder;
  folder.write("keys/primary", GetParam().first);
  EXPECT_THAT(folder.mistakes(), HasSubstr("endpoints/endpoint.yml:6: router.keys.primary_file: `keys/primary` "));
  EXPECT_THAT(folder.mistakes(), HasSubstr(GetParam().second));
}
INSTANTIATE_TEST_SUITE_P(Contents, BadKeyFile,
                         testing::Values(std::pair("", "is empty"), std::pair("\n", "is empty"),
                                         std::pair("\xef\xbb\xbf\n", "is empty"),
                                         std::pair("\xef\xbb\xbf\xef\xbb\xbfkey", "characters"),
                                         std::pair("one\ntwo\n", "characters that a key cannot have"),
                                         std::pair(" key", "characters"), std::pair("k\xc3\xa9y", "characters"),
                                         std::pair(std::string(5000, 'k'), "is larger than 4096 bytes")));

TEST(EndpointKeys, AreRefusedWithTheirFileMissingOrAFolder) {
  const ConfigFolder folder;
  folder.remove("keys/primary");
  EXPECT_THAT(folder.mistakes(),
              HasSubstr("endpoints/endpoint.yml:6: router.keys.primary_file: `keys/primary` cannot be read"));
  folder.write("keys/primary/file", "x");
  EXPECT_THAT(folder.mistakes(), HasSubstr("is a folder"));
}

using RefusedEndpoint = RefusedFile;
TEST_P(RefusedEndpoint, IsToldWithItsLocation) { expect_refused(); }

BadFile bad(const char* name, const std::string& text, const std::string& told) {
  return {name, "endpoints/endpoint.yml", text, "endpoints/endpoint.yml:" + told};
}
BadFile bad_line(const char* name, const std::string& line, const std::string& told) {
  return bad(name, "name: my-endpoint\n" + line + "\n", "2: " + told);
}
BadFile bad_name(const char* name, const std::string& value) { return bad(name, "name: " + value + "\n", "1: name: "); }

INSTANTIATE_TEST_SUITE_P(
    Mistakes, RefusedEndpoint,
    testing::Values(
        bad("NoName", "auth_mode: key\n", "1: name: is missing"), bad_name("NameTooShort", "ab"),
        bad_name("NameTooLong", std::string(33, 'a')), bad_name("NameBeginsWithADigit", "1abc"),
        bad_name("NameEndsWithADash", "abc-"), bad_name("NameWithADot", "my.endpoint"), bad_name("NameIsEmpty", "''"),
        bad_name("NameHasNoValue", ""), bad_name("NameIsAList", "[my-endpoint]"), bad_name("NameIsNotAscii", "naïve"),
        bad("AnotherSchema", "$schema: https://azuremlschemas.azureedge.net/latest/batchEndpoint.schema.json\nname: abc\n",
            "1: $schema: `batchEndpoint` is neither an online endpoint nor"),
        bad_line("UnknownKey", "authmode: key",
                 "authmode: unknown key; perhaps `auth_mode` is meant; known here: $schema, auth_mode, compute, "),
        bad_line("KeyInAnotherCase", "Auth_mode: key", "Auth_mode: unknown key"),
        bad_line("AuthMode", "auth_mode: none", "auth_mode: `none` is not one of: key, aml_token, aad_token"),
        bad_line("TrafficIsANumber", "traffic: 100", "traffic: a map of keys is expected"),
        bad_line("TrafficIsAWord", "traffic: {blue: all}", "traffic.blue: `all` is not a whole number from 0 to 100 percent"),
        bad_line("TrafficOfNinety", "traffic: {blue: 90}", "traffic: the percentages sum to 90; they must sum to 0 or 100"),
        bad_line("TrafficBeyondHundred", "traffic: {blue: 101}", "traffic.blue: `101` is not"),
        bad_line("TrafficOfAHundredAndTen", "traffic: {blue: 60, BLUE-2: 50}", "traffic: the percentages sum to 110"),
        bad_line("TrafficIsNegative", "traffic: {blue: -1}", "traffic.blue: `-1` is not"),
        bad_line("TrafficTwiceByCase", "traffic: {blue: 50, Blue: 50}", "traffic.Blue: this deployment is given twice"),
        bad("TrafficOfNobody", "name: my-endpoint\ntraffic:\n  blue: 50\n  green: 50\n",
            "4: traffic.green: the endpoint has no deployment of this name; it has blue"),
        bad_line("MirrorTooMuch", "mirror_traffic: {blue: 51}", "mirror_traffic.blue: `51` is not a whole number from 0 to 50"),
        bad_line("MirrorToTwo", "mirror_traffic: {blue: 5, green: 5}", "mirror_traffic: 2 deployments; one at most"),
        bad_line("MirrorToNobody", "mirror_traffic: {green: 5}", "mirror_traffic.green: the endpoint has no deployment"),
        bad_line("Identity", "identity: {type: mine}", "identity.type: `mine` is not one of: system_assigned"),
        bad_line("PublicAccess", "public_network_access: maybe", "public_network_access: `maybe` is not one of: enabled"),
        bad_line("TagsAreAList", "tags: [a]", "tags: a map of keys is expected"),
        bad_line("ExtensionUnknownKey", "router: {hostname: a}",
                 "router.hostname: unknown key; perhaps `hostnames` is meant; known here: "),
        bad_line("ExtensionOfADeployment", "router: {replicas: [a]}", "router.replicas: unknown key"),
        bad_line("HostNameWithPort", "router: {hostnames: [ok, 'a:80']}", "router.hostnames[1]: `a:80` is not a host name"),
        bad_line("HostNameWildcard", "router: {hostnames: ['*.example.com']}", "router.hostnames[0]: `*.example.com` is not"),
        bad_line("HostNameWithDotAtItsEnd", "router: {hostnames: [a.]}", "router.hostnames[0]: `a.` is not"),
        bad_line("HostNameTwice", "router: {hostnames: [a, A]}", "router.hostnames[1]: `a` is already declared in"),
        bad_line("KeyInTheFile", "router: {keys: {primary: sesame}}",
                 "router.keys.primary: unknown key; perhaps `primary_file` is meant; known here: primary_file"),
        bad_line("KeyFileIsMissing", "router: {keys: {primary_file: none}}",
                 "router.keys.primary_file: `endpoints/none` cannot be read"),
        bad_line("StatusProfile", "router: {status_profile: aws}", "router.status_profile: `aws` is not one of: kubernetes"),
        bad_line("ForwardAuthorization", "router: {forward_authorization: 1}",
                 "router.forward_authorization: `1` is neither true nor false"),
        bad_line("RouterHasNoValue", "router:", "router: has no value")),
    name_of);

}  // namespace
}  // namespace router::config::test
