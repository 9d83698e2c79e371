#include "router/discovery/cluster_join.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "router/discovery/own_service.h"
#include "tests/unit/discovery/cluster_world.h"

namespace router::discovery {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

TEST(ClusterJoin, PutsDeploymentsUnderTheEndpointOfTheirNamespace) {
  World world;
  world.add_endpoint({.traffic = {{"Blue", 90}, {"green", 10}}})
      .add_deployment({.name = "blue"})
      .add_deployment({.name = "green"});
  world.add_secret(keys_of_iris());
  const Joined joined = world.join();
  EXPECT_EQ(text_of(joined), "team-a/iris [blue=90 green=10 ] {iris/blue iris/green } 2 keys\n");
  EXPECT_EQ(joined.endpoints[0].keys[1].value, "two") << "without the line break at the end";
  EXPECT_EQ(joined.endpoints[0].deployments[0].namespace_name, "team-a");
  EXPECT_EQ(result_of(joined, "team-a", "iris"), "ok Accepted");
  EXPECT_EQ(result_of(joined, "team-a", "iris-blue"), "ok Accepted");
  EXPECT_EQ(joined.results.size(), 3u);
  const auto& result = *std::find_if(joined.results.begin(), joined.results.end(),
                                     [](const ReconcileResult& each) { return each.kind == ReconcileResult::Kind::kEndpoint; });
  EXPECT_EQ(result.uid, "team-a-iris");
  EXPECT_EQ(result.generation, 1);
  EXPECT_TRUE(result.served);
  EXPECT_EQ(result.traffic.at("blue"), 90);
}

TEST(ClusterJoin, KeepsTheNameOfALoneSecondaryKey) {
  World world;
  world.add_endpoint({.traffic = {{"blue", 100}}}).add_deployment({.name = "blue"});
  world.add_secret(secret({{"secondaryKey", "two"}}));
  const Joined joined = world.join();
  ASSERT_EQ(joined.endpoints[0].keys.size(), 1u);
  EXPECT_EQ(joined.endpoints[0].keys[0].name, config::KeyName::kSecondary);
}

TEST(ClusterJoin, RefusesADeploymentWhoseEndpointIsNotInItsNamespace) {
  World world;
  world.add_endpoint(EndpointSpec{})
      .add_deployment({.name = "blue", .namespace_name = "team-b"})
      .add_deployment({.name = "red", .endpoint = "wine", .namespace_name = "team-a"});
  const Joined joined = world.join();
  EXPECT_THAT(result_of(joined, "team-b", "iris-blue"), StartsWith("EndpointNotFound: "));
  EXPECT_THAT(result_of(joined, "team-a", "wine-red"), StartsWith("EndpointNotFound: "));
  EXPECT_TRUE(joined.endpoints[0].deployments.empty());
}

TEST(ClusterJoin, LetsPodsBeAdoptedOnlyWhereTheRouterLooksAtPods) {
  World world;
  world.add_endpoint({.traffic = {{"blue", 90}, {"green", 10}}})
      .add_deployment({.name = "blue"})
      .add_deployment({.name = "green", .adopts = true});
  world.add_secret(keys_of_iris());
  const Joined off = world.join();
  EXPECT_EQ(text_of(off), "team-a/iris [blue=90 ] {iris/blue } 2 keys\n");
  EXPECT_THAT(
      result_of(off, "team-a", "iris-green"),
      AllOf(StartsWith("AdoptionNotAllowed: "), HasSubstr("set kubernetes.adopt_azureml_pods to true in its router.yaml"),
            HasSubstr("list and watch on pods")));
  EXPECT_THAT(result_of(off, "team-a", "iris"), StartsWith("ok DeploymentsMissing: "));
  world.rules.adopt_azureml_pods = true;
  const Joined on = world.join();
  EXPECT_EQ(result_of(on, "team-a", "iris-green"), "ok Accepted");
  EXPECT_TRUE(on.endpoints.at(0).deployments.at(1).adopt_azureml_pods);
}

TEST(ClusterJoin, RefusesTheDeploymentsOfARefusedEndpoint) {
  World world;
  world.taken.endpoints = {"iris"};
  world.add_endpoint(EndpointSpec{}).add_deployment(DeploymentSpec{});
  EXPECT_THAT(result_of(world.join(), "team-a", "iris-blue"), StartsWith("EndpointNotAccepted: "));
}

TEST(ClusterJoin, UsesNoSecretOfAnotherNamespace) {
  World world;
  world.add_endpoint(EndpointSpec{}).add_secret(secret({{"primaryKey", "one"}}, "iris-keys", "team-b"));
  const Joined joined = world.join();
  EXPECT_TRUE(joined.endpoints[0].keys.empty());
  EXPECT_THAT(result_of(joined, "team-a", "iris"), StartsWith("ok SecretMissing: "));
}

TEST(ClusterJoin, GivesANameToTheOlderEndpoint) {
  World world;
  world.add_endpoint({.name = "iris", .namespace_name = "team-a", .created = kNew})
      .add_endpoint({.name = "iris", .namespace_name = "team-b", .created = kOld});
  const Joined joined = world.join();
  EXPECT_THAT(result_of(joined, "team-a", "iris"), AllOf(StartsWith("NameConflict: "), HasSubstr("team-b/iris")));
  EXPECT_THAT(text_of(joined), StartsWith("team-b/iris "));
}

TEST(ClusterJoin, GivesANameToTheFirstNamespaceOfTwoOfOneAge) {
  World world;
  world.add_endpoint({.name = "iris", .namespace_name = "team-b"}).add_endpoint({.name = "iris", .namespace_name = "team-a"});
  EXPECT_THAT(text_of(world.join()), StartsWith("team-a/iris "));
}

TEST(ClusterJoin, GivesAHostNameToTheOlderEndpoint) {
  World world;
  world.add_endpoint({.name = "iris", .created = kNew, .hostnames = {"a.example", "b.example"}});
  world.add_endpoint({.name = "wine", .namespace_name = "team-b", .created = kOld, .hostnames = {"b.example"}});
  const Joined joined = world.join();
  EXPECT_THAT(result_of(joined, "team-a", "iris"), AllOf(StartsWith("HostnameConflict: "), HasSubstr("b.example")));
  EXPECT_THAT(text_of(joined), StartsWith("team-b/wine "));
}

TEST(ClusterJoin, TakesNothingFromOthersForWhatItRefuses) {
  World world;
  // The oldest endpoint is refused for its host name. Its name and the other host name that it claims stay free.
  world.taken.hostnames = {"file.example"};
  world.add_endpoint({.name = "iris", .namespace_name = "team-a", .created = kOld, .hostnames = {"a.example", "file.example"}});
  world.add_endpoint({.name = "iris", .namespace_name = "team-b", .created = kNew, .hostnames = {"a.example"}});
  const Joined joined = world.join();
  EXPECT_THAT(result_of(joined, "team-a", "iris"), StartsWith("HostnameConflict: "));
  EXPECT_THAT(result_of(joined, "team-b", "iris"), Not(HasSubstr("Conflict")));
}

TEST(ClusterJoin, KeepsTheRoutersOwnHostFromNamespacesThatAreNotGivenIt) {
  for (const char* hostname : {"models.example", "cname.example", "10.0.0.4", "router", "router.router-namespace_name",
                               "router-internal.router-namespace_name.svc", "router.router-namespace_name.svc.cluster.local"}) {
    World world;
    world.rules.public_url = "https://Models.example:8443";
    world.rules.ssl_cname = "CName.example";
    world.add_endpoint({.name = "iris", .hostnames = {hostname}}).add_endpoint({.name = "wine", .hostnames = {"wine.example"}});
    EXPECT_THAT(result_of(world.join(), "team-a", "iris"),
                AllOf(StartsWith("HostnameNotAllowed: "), HasSubstr("the router's own")));
    EXPECT_THAT(result_of(world.join(), "team-a", "wine"), StartsWith("ok "));
    config::NamespaceRules rules;
    rules.name = "team-a";
    world.rules.namespaces = {rules};
    EXPECT_THAT(result_of(world.join(), "team-a", "iris"), StartsWith("HostnameNotAllowed: "));
    world.rules.namespaces[0].hostnames = {hostname, "wine.example"};
    EXPECT_THAT(result_of(world.join(), "team-a", "iris"), StartsWith("ok "));
  }
}

TEST(ClusterJoin, LeavesOtherNamesToNamespacesWithoutRules) {
  for (const char* hostname : {"router.team-a.svc", "router-namespace_name.example", "a.router-namespace_name.example",
                               "a.router-namespace_name.svcs.example"}) {
    World world;
    world.add_endpoint({.name = "iris", .hostnames = {hostname}});
    EXPECT_THAT(result_of(world.join(), "team-a", "iris"), StartsWith("ok ")) << hostname;
  }
}

TEST(ClusterJoin, LetsFilesWin) {
  World world;
  config::Endpoint file;
  file.name = "Iris";
  file.hostnames = {"wine.example"};
  world.taken = names_of({file});
  world.add_endpoint({.name = "iris", .created = kOld}).add_endpoint({.name = "wine", .hostnames = {"wine.example"}});
  const Joined joined = world.join();
  EXPECT_THAT(result_of(joined, "team-a", "iris"), AllOf(StartsWith("NameConflict: "), HasSubstr("a file")));
  EXPECT_THAT(result_of(joined, "team-a", "wine"), StartsWith("HostnameConflict: "));
  EXPECT_TRUE(joined.endpoints.empty());
}

TEST(ClusterJoin, GivesTheNameOfADeploymentToTheOlderOne) {
  World world;
  world.add_endpoint(EndpointSpec{});
  world.add_deployment({.name = "blue", .created = kNew, .object_name = "first"})
      .add_deployment({.name = "Blue", .created = kOld, .object_name = "second"});
  const Joined joined = world.join();
  EXPECT_THAT(result_of(joined, "team-a", "first"), AllOf(StartsWith("NameConflict: "), HasSubstr("second")));
  EXPECT_EQ(result_of(joined, "team-a", "second"), "ok Accepted");
  EXPECT_EQ(joined.endpoints[0].deployments.size(), 1u);
}

struct RuleCase {
  const char* about;
  std::optional<std::vector<std::string>> patterns;
  std::string prefix;
  std::vector<std::string> hostnames;
  std::string reason;
};

TEST(ClusterJoin, HoldsANamespaceToItsRules) {
  const std::vector<RuleCase> cases{
      {"no bounds", {}, "", {"anything.example"}, "ok SecretMissing"},
      {"a listed host name", {{"iris.example"}}, "", {"iris.example"}, "ok SecretMissing"},
      {"another host name", {{"iris.example"}}, "", {"wine.example"}, "HostnameNotAllowed"},
      {"one of two is not allowed", {{"iris.example"}}, "", {"iris.example", "wine.example"}, "HostnameNotAllowed"},
      {"below a pattern", {{"*.a.example"}}, "", {"iris.a.example"}, "ok SecretMissing"},
      {"deep below a pattern", {{"*.a.example"}}, "", {"x.iris.a.example"}, "ok SecretMissing"},
      {"a pattern is not its own end", {{"*.a.example"}}, "", {"a.example"}, "HostnameNotAllowed"},
      {"a pattern ends at a dot", {{"*.a.example"}}, "", {"iris-a.example"}, "HostnameNotAllowed"},
      {"a pattern in capitals", {{"*.A.example"}}, "", {"iris.a.example"}, "ok SecretMissing"},
      {"no host name may be claimed", {std::vector<std::string>{}}, "", {"iris.example"}, "HostnameNotAllowed"},
      {"none is claimed", {std::vector<std::string>{}}, "", {}, "ok SecretMissing"},
      {"the prefix", {}, "ir", {}, "ok SecretMissing"},
      {"another prefix", {}, "team-a-", {}, "NameNotAllowed"},
  };
  for (const RuleCase& each : cases) {
    SCOPED_TRACE(each.about);
    World world;
    world.rules.namespaces = {{"team-a", each.patterns, each.prefix}};
    world.add_endpoint({.hostnames = each.hostnames});
    EXPECT_THAT(result_of(world.join(), "team-a", "iris"), StartsWith(each.reason));
  }
}

TEST(ClusterJoin, IgnoresNamespacesThatAreNotListed) {
  World world;
  world.rules.namespaces = {{"team-b", {}, ""}};
  world.add_endpoint(EndpointSpec{})
      .add_deployment(DeploymentSpec{})
      .add_endpoint({.name = "iris", .namespace_name = "team-b", .created = kNew});
  const Joined joined = world.join();
  EXPECT_EQ(joined.results.size(), 1u);
  EXPECT_THAT(text_of(joined), StartsWith("team-b/iris "));
}

TEST(ClusterJoin, NeverGivesTheShareOfAMissingDeploymentToAnother) {
  World world;
  world.add_endpoint({.traffic = {{"blue", 60}, {"green", 40}, {"red", 0}}})
      .add_deployment(DeploymentSpec{})
      .add_secret(keys_of_iris());
  const Joined joined = world.join();
  EXPECT_EQ(joined.endpoints[0].traffic, (std::map<std::string, int>{{"blue", 60}}));
  EXPECT_THAT(result_of(joined, "team-a", "iris"),
              AllOf(StartsWith("ok DeploymentsMissing: "), HasSubstr("green"), Not(HasSubstr("`red`"))));
}

TEST(ClusterJoin, KeepsAnEndpointWithTokensClosed) {
  World world;
  world.add_endpoint({.auth_mode = "aml_token"}).add_secret(keys_of_iris());
  const Joined joined = world.join();
  EXPECT_TRUE(joined.endpoints[0].keys.empty());
  EXPECT_EQ(joined.endpoints[0].auth_mode, config::AuthMode::kAmlToken);
  EXPECT_THAT(result_of(joined, "team-a", "iris"), StartsWith("ok AuthModeUnsupported: "));
}

struct SecretCase {
  const char* about;
  std::map<std::string, std::string> data;
  std::vector<std::string> keys;
  std::string reason;
};

TEST(ClusterJoin, TakesKeysAsFilesGiveThem) {
  const std::string longest(4096, 'k');
  const std::vector<SecretCase> cases{
      {"both", {{"primaryKey", "one"}, {"secondaryKey", "two"}}, {"one", "two"}, "ok Accepted"},
      {"one", {{"secondaryKey", "two"}}, {"two"}, "ok Accepted"},
      {"others are none of ours", {{"primaryKey", "one"}, {"password", "secret"}}, {"one"}, "ok Accepted"},
      {"none", {{"password", "secret"}}, {}, "ok SecretInvalid"},
      {"the longest", {{"primaryKey", longest}}, {longest}, "ok Accepted"},
      {"too long", {{"primaryKey", longest + "k"}}, {}, "ok SecretInvalid"},
      {"a space", {{"primaryKey", "o ne"}}, {}, "ok SecretInvalid"},
      {"a line end inside", {{"primaryKey", "o\nne"}}, {}, "ok SecretInvalid"},
      {"not ASCII", {{"primaryKey", "\xc3\xa9"}}, {}, "ok SecretInvalid"},
      {"empty", {{"primaryKey", ""}, {"secondaryKey", "two"}}, {"two"}, "ok SecretInvalid"},
  };
  for (const SecretCase& each : cases) {
    SCOPED_TRACE(each.about);
    World world;
    world.add_endpoint(EndpointSpec{}).add_secret(secret(each.data));
    const Joined joined = world.join();
    std::vector<std::string> keys;
    for (const config::Secret& key : joined.endpoints[0].keys) keys.push_back(key.value);
    EXPECT_EQ(keys, each.keys);
    const std::string result = result_of(joined, "team-a", "iris");
    EXPECT_THAT(result, StartsWith(each.reason));
    for (const auto& [name, value] : each.data) {
      if (value.size() > 2) {
        EXPECT_THAT(result, Not(HasSubstr(value))) << "shown";
      }
    }
  }
}

TEST(ClusterJoin, LetATenantClaimTheLoadBalancersNameAndThoseOfTheCertificate) {
  World world;
  world.taken.own = {"lb-17.elb.example.net", "models.example.com", "models.*.cloudapp.azure.com"};
  const std::vector<std::pair<std::string, bool>> names{{"lb-17.elb.example.net", true},
                                                        {"models.example.com", true},
                                                        {"models.westeurope.cloudapp.azure.com", true},
                                                        {"models.a.b.cloudapp.azure.com", false},
                                                        {"other.westeurope.cloudapp.azure.com", false},
                                                        {"iris.models.example.com", false}};
  for (const auto& [name, own] : names) {
    world.add_endpoint({.hostnames = {name}, .uid = name});
    const std::string result = result_of(world.join(), "team-a", "iris");
    EXPECT_EQ(result.starts_with("HostnameNotAllowed"), own) << name << ": " << result;
  }
  world.rules.namespaces = {{.name = "team-a", .hostnames = {{"models.example.com"}}, .prefix = ""}};
  world.add_endpoint({.hostnames = {"models.example.com"}, .uid = "listed"});
  EXPECT_TRUE(result_of(world.join(), "team-a", "iris").starts_with("ok ")) << "the operator's list has it";
}

TEST(ClusterJoin, HadNoBoundForWhatOneNamespaceAmountsTo) {
  World world;
  world.rules.per_namespace = {.max_endpoints = 2, .max_deployments = 3, .max_secrets = 1, .max_bytes = 1'000'000};
  for (int i = 0; i < 3; ++i) {
    const std::string name = absl::StrCat("iris", i), created = absl::StrCat("2025-01-0", 9 - i, "T00:00:00Z");
    world.add_endpoint({.name = name, .created = created});
    world.add_deployment({.name = "blue", .endpoint = name, .created = created});
    world.add_deployment({.name = "green", .endpoint = name, .created = created});
  }
  world.add_endpoint({.name = "other", .namespace_name = "team-b"});
  const Joined joined = world.join();
  EXPECT_EQ(joined.endpoints.size(), 3u) << "the two oldest, and the one of another namespace";
  EXPECT_THAT(result_of(joined, "team-a", "iris0"), HasSubstr("LimitExceeded: this namespace has more than 2 OnlineEndpoints"));
  EXPECT_TRUE(result_of(joined, "team-a", "iris2").starts_with("ok SecretMissing")) << result_of(joined, "team-a", "iris2");
  EXPECT_TRUE(result_of(joined, "team-a", "iris1").starts_with("ok LimitExceeded")) << "a second Secret";
  EXPECT_TRUE(result_of(joined, "team-b", "other").starts_with("ok SecretMissing"));
  int refused = 0;
  for (const ReconcileResult& each : joined.results) {
    refused += each.kind == ReconcileResult::Kind::kDeployment && each.reason == reason::kLimitExceeded ? 1 : 0;
  }
  EXPECT_EQ(refused, 3);
}

TEST(ClusterJoin, HadNoBoundForTheBytesOfOneNamespace) {
  World world;
  world.rules.per_namespace.max_bytes = 20'000;
  for (int i = 0; i < 4; ++i) {
    const std::string name = absl::StrCat("iris", i);
    std::vector<std::string> hostnames;
    for (int j = 0; j < 200; ++j) hostnames.push_back(absl::StrCat(name, "-", j, ".example.com"));
    world.add_endpoint({.name = name, .created = absl::StrCat("2025-01-0", i + 1, "T00:00:00Z"), .hostnames = hostnames});
  }
  const Joined joined = world.join();
  EXPECT_TRUE(result_of(joined, "team-a", "iris0").starts_with("ok "));
  EXPECT_THAT(result_of(joined, "team-a", "iris3"), HasSubstr("larger than 20000 bytes"));
}

TEST(OwnServiceNames, ReadsWhatTheServiceShowsAndAsksFor) {
  const json::object service{
      {"metadata",
       {{"annotations",
         {{"external-dns.alpha.kubernetes.io/hostname", "Models.example.com, second.example.com."},
          {"service.beta.kubernetes.io/azure-dns-label-name", "models"}}}}},
      {"status",
       {{"loadBalancer",
         {{"ingress", {{{"hostname", "LB-1.example.net"}}, {{"ip", "10.1.2.3"}}, {{"hostname", "lb-2.example.net"}}}}}}}}};
  const std::set<std::string> expected{"lb-1.example.net", "lb-2.example.net", "models.example.com", "second.example.com",
                                       "models.*.cloudapp.azure.com"};
  EXPECT_EQ(read_service_hostnames(service), expected);
  EXPECT_TRUE(read_service_hostnames({{"status", {{"loadBalancer", {{"ingress", "none"}}}}}, {"metadata", 3}}).empty());
}

}  // namespace
}  // namespace router::discovery
