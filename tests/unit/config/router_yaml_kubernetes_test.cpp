#include <gmock/gmock.h>

#include "config/router_yaml.h"
#include "config_folder.h"

namespace router::config::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Optional;

const std::string kListeners = "listeners: [{port: 8080}]\n";

Process accept(const ConfigFolder& folder, const std::string& text) {
  folder.write("router.yaml", text);
  const absl::StatusOr<Config> config = folder.load();
  EXPECT_TRUE(config.ok()) << config.status().message();
  return config.ok() ? config->process : Process{};
}

TEST(KubernetesSection, IsOffUnlessItIsThere) {
  const ConfigFolder folder;
  EXPECT_FALSE(accept(folder, ConfigFolder::kRouter).kubernetes);
}

TEST(KubernetesSection, HasTheDocumentedDefaultsAndNeedsNoFiles) {
  const ConfigFolder folder;
  const Process process = accept(folder, kListeners + "kubernetes: {}\n");
  EXPECT_THAT(process.endpoint_globs, IsEmpty());
  ASSERT_TRUE(process.kubernetes);
  const Kubernetes& kubernetes = *process.kubernetes;
  EXPECT_EQ(kubernetes.kubeconfig, "");
  EXPECT_EQ(kubernetes.service_account_folder, "/var/run/secrets/kubernetes.io/serviceaccount");
  EXPECT_THAT(kubernetes.namespaces, IsEmpty());
  EXPECT_FALSE(kubernetes.allow_custom_endpoint_slices);
  EXPECT_FALSE(kubernetes.adopt_azureml_pods);
  EXPECT_FALSE(kubernetes.check_pod_addresses);
  EXPECT_FALSE(kubernetes.create_keys);
  EXPECT_EQ(kubernetes.public_url + kubernetes.ssl_cname + kubernetes.service_name, "");
  EXPECT_EQ(kubernetes.lease_name, "inference-router");
  EXPECT_EQ(kubernetes.lease_namespace, "");
  EXPECT_EQ(kubernetes.identity, "");
  EXPECT_EQ(kubernetes.per_namespace, NamespaceAmounts());
  EXPECT_EQ(kubernetes.location.line, 2);
}

TEST(KubernetesSection, StandsBesideFilesAndTakesEveryKey) {
  const ConfigFolder folder;
  const Process process = accept(folder, std::string(ConfigFolder::kRouter) + R"(kubernetes:
  kubeconfig: kube/config
  namespaces:
    - {name: team-a, hostnames: ["*.Team-A.example", models.example], prefix: Team-a-}
    - {name: team-b, hostnames: []}
    - name: team-c
  allow_custom_endpoint_slices: true
  adopt_azureml_pods: true
  check_pod_addresses: true
  create_keys: true
  per_namespace: {max_endpoints: 1, max_deployments: 2, max_secrets: 3, max_bytes: 4096}
  public_url: https://models.example:8443
  ssl_cname: models.example
  service_name: router
  lease: {name: router.lease, namespace: router-system}
  identity: router-0
)");
  EXPECT_EQ(process.endpoint_globs.size(), 1u);
  ASSERT_TRUE(process.kubernetes);
  const Kubernetes& kubernetes = *process.kubernetes;
  EXPECT_EQ(kubernetes.kubeconfig, folder.path("kube/config"));
  ASSERT_EQ(kubernetes.namespaces.size(), 3u);
  EXPECT_EQ(kubernetes.namespaces[0].name, "team-a");
  EXPECT_THAT(kubernetes.namespaces[0].hostnames, Optional(ElementsAre("*.team-a.example", "models.example")));
  EXPECT_EQ(kubernetes.namespaces[0].prefix, "team-a-");
  EXPECT_THAT(kubernetes.namespaces[1].hostnames, Optional(IsEmpty()));
  EXPECT_EQ(kubernetes.namespaces[2].hostnames, std::nullopt);
  EXPECT_EQ(kubernetes.namespaces[2].prefix, "");
  EXPECT_TRUE(kubernetes.allow_custom_endpoint_slices);
  EXPECT_TRUE(kubernetes.adopt_azureml_pods);
  EXPECT_TRUE(kubernetes.check_pod_addresses);
  EXPECT_TRUE(kubernetes.create_keys);
  EXPECT_EQ(kubernetes.public_url, "https://models.example:8443");
  EXPECT_EQ(kubernetes.ssl_cname, "models.example");
  EXPECT_EQ(kubernetes.service_name, "router");
  EXPECT_EQ(kubernetes.lease_name, "router.lease");
  EXPECT_EQ(kubernetes.lease_namespace, "router-system");
  EXPECT_EQ(kubernetes.identity, "router-0");
  EXPECT_EQ(kubernetes.per_namespace, (NamespaceAmounts{1, 2, 3, 4096}));
}

TEST(KubernetesSection, FindsTheServiceAccountInAFolder) {
  const ConfigFolder folder;
  const Process process = accept(folder, kListeners + "kubernetes: {service_account_folder: account}\n");
  EXPECT_EQ(process.kubernetes.value().service_account_folder, folder.path("account"));
}

class PublicUrl : public testing::TestWithParam<const char*> {};
TEST_P(PublicUrl, IsASchemeAHostAndAPortIfNeedBe) {
  const ConfigFolder folder;
  const Process process = accept(folder, kListeners + "kubernetes: {public_url: '" + GetParam() + "'}\n");
  EXPECT_EQ(process.kubernetes.value().public_url, GetParam());
}
INSTANTIATE_TEST_SUITE_P(Good, PublicUrl,
                         testing::Values("https://a.example", "http://a.example:80", "https://10.0.0.1", "https://[::1]:1"));

class BadPublicUrl : public testing::TestWithParam<const char*> {};
TEST_P(BadPublicUrl, IsRefused) {
  const ConfigFolder folder;
  folder.write("router.yaml", kListeners + "kubernetes:\n  public_url: '" + GetParam() + "'\n");
  EXPECT_EQ(folder.mistakes(), "router.yaml:3: kubernetes.public_url: `" + std::string(GetParam()) +
                                   "` is not https://host or http://host, with :port or without, and nothing after it");
}
INSTANTIATE_TEST_SUITE_P(Bad, BadPublicUrl,
                         testing::Values("", "a.example", "https://", "https://a.example/", "https://a.example/path",
                                         "https://a.example?b", "https://user@a.example", "https://a.example:0",
                                         "https://a.example:65536", "https://a.example:", "ftp://a.example", "https://a b"));

using RefusedKubernetesSection = RefusedFile;
TEST_P(RefusedKubernetesSection, IsToldWithItsLocation) { expect_refused(); }

/// `line` is the only one under `kubernetes:`, in line 5 of the file.
BadFile bad_key(const char* name, const std::string& line, const std::string& told) {
  return {name, "router.yaml", std::string(ConfigFolder::kRouter) + "kubernetes:\n  " + line + "\n",
          "router.yaml:5: kubernetes" + told};
}
const std::string kLong(64, 'a');

INSTANTIATE_TEST_SUITE_P(
    Mistakes, RefusedKubernetesSection,
    testing::Values(
        BadFile{"WithoutValue", "router.yaml", kListeners + "kubernetes:\n", "router.yaml:2: kubernetes: has no value"},
        BadFile{"IsAFlag", "router.yaml", kListeners + "kubernetes: true\n", "router.yaml:2: kubernetes: a map of keys"},
        BadFile{
            "EmptyEndpoints", "router.yaml", kListeners + "kubernetes: {}\nendpoints: []\n",
            "router.yaml:3: endpoints: at least one file is expected, such as endpoints/*.yml; with kubernetes, the key may"},
        bad_key("UnknownKey", "namespace: a",
                ".namespace: unknown key; perhaps `namespaces` is meant; known here: adopt_azureml_pods, "
                "allow_custom_endpoint_slices, check_pod_addresses, "
                "create_keys, "),
        bad_key("BothCredentials", "{kubeconfig: a, service_account_folder: b}",
                ".service_account_folder: cannot stand beside kubeconfig"),
        bad_key("KubeconfigWithoutPath", "kubeconfig: ''", ".kubeconfig: a path is expected"),
        bad_key("NoNamespaces", "namespaces: []",
                ".namespaces: at least one is expected; leave the key out for all namespaces"),
        bad_key("NamespacesAreTexts", "namespaces: [a]", ".namespaces[0]: a map of keys is expected"),
        bad_key("NamespaceWithoutName", "namespaces: [{prefix: a}]", ".namespaces[0].name: is missing"),
        bad_key("NamespaceInUpperCase", "namespaces: [{name: Team}]",
                ".namespaces[0].name: `Team` is not the name of a namespace"),
        bad_key("NamespaceWithDot", "namespaces: [{name: a.b}]", ".namespaces[0].name: `a.b` is not the name of a namespace"),
        bad_key("NamespaceWithUnderscore", "namespaces: [{name: a_b}]", ".namespaces[0].name: `a_b` is not the name"),
        bad_key("NamespaceEndsInADash", "namespaces: [{name: a-}]", ".namespaces[0].name: `a-` is not the name"),
        bad_key("NamespaceTooLong", "namespaces: [{name: " + kLong + "}]", ".namespaces[0].name: `aaa"),
        bad_key("NamespaceTwice", "namespaces: [{name: a}, {name: b}, {name: a}]", ".namespaces[2].name: `a` is given twice"),
        bad_key("UnknownKeyOfANamespace", "namespaces: [{name: a, hostname: b}]",
                ".namespaces[0].hostname: unknown key; perhaps `hostnames` is meant; known here: hostnames, name, prefix"),
        bad_key("HostNamesAreAText", "namespaces: [{name: a, hostnames: b}]", ".namespaces[0].hostnames: a list is expected"),
        bad_key("StarInTheMiddle", "namespaces: [{name: a, hostnames: [a.example, 'a.*.example']}]",
                ".namespaces[0].hostnames[1]: `a.*.example` is neither a host name nor *. with a host name after it"),
        bad_key("StarAlone", "namespaces: [{name: a, hostnames: ['*']}]", ".namespaces[0].hostnames[0]: `*` is neither"),
        bad_key("StarOfNothing", "namespaces: [{name: a, hostnames: ['*.']}]", ".namespaces[0].hostnames[0]: `*.` is neither"),
        bad_key("HostNameWithPort", "namespaces: [{name: a, hostnames: ['a.example:80']}]",
                ".namespaces[0].hostnames[0]: `a.example:80` is neither"),
        bad_key("PrefixEmpty", "namespaces: [{name: a, prefix: ''}]",
                ".namespaces[0].prefix: `` is not how a name of an endpoint begins"),
        bad_key("PrefixWithUnderscore", "namespaces: [{name: a, prefix: a_}]", ".namespaces[0].prefix: `a_` is not how"),
        bad_key("PrefixBeginsWithADigit", "namespaces: [{name: a, prefix: 1a}]", ".namespaces[0].prefix: `1a` is not how"),
        bad_key("PrefixTooLong", "namespaces: [{name: a, prefix: " + std::string(32, 'a') + "}]",
                ".namespaces[0].prefix: `aaa"),
        bad_key("FlagIsAText", "create_keys: sometimes", ".create_keys: `sometimes` is neither true nor false"),
        bad_key("CnameWithScheme", "ssl_cname: https://a.example", ".ssl_cname: `https://a.example` is not a host name"),
        bad_key("ServiceName", "service_name: a.b", ".service_name: `a.b` is not the name of a Service"),
        bad_key("LeaseIsAText", "lease: a", ".lease: a map of keys is expected"),
        bad_key("LeaseName", "lease: {name: A}", ".lease.name: `A` is not the name of a Lease"),
        bad_key("LeaseNamespace", "lease: {namespace: a/b}", ".lease.namespace: `a/b` is not the name of a namespace"),
        bad_key("IdentityWithSpace", "identity: a b", ".identity: `a b` is not up to 253 visible ASCII characters"),
        bad_key("IdentityEmpty", "identity: ''", ".identity: `` is not up to 253")),
    name_of);

}  // namespace
}  // namespace router::config::test
