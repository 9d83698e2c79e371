#include "router/kubernetes/cluster_config.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>

namespace router::kubernetes {
namespace {

namespace fs = std::filesystem;

class ClusterConfigTest : public ::testing::Test {
 protected:
  ClusterConfigTest() {
    std::string pattern = fs::temp_directory_path() / "cluster-XXXXXX";
    folder = ::mkdtemp(pattern.data());
  }
  ~ClusterConfigTest() override { fs::remove_all(folder); }

  std::string write(const std::string& name, const std::string& content) const {
    std::ofstream(folder / name) << content;
    return folder / name;
  }
  static absl::StatusOr<ClusterConfig> in_pod(const std::string& of, std::map<std::string, std::string> variables) {
    config::Kubernetes settings;
    settings.service_account_folder = of;
    return read_cluster_config(settings, [variables](const char* name) {
      const auto found = variables.find(name);
      return found != variables.end() ? found->second : "";
    });
  }
  absl::StatusOr<ClusterConfig> kubeconfig(const std::string& content) const {
    config::Kubernetes settings;
    settings.kubeconfig = write("kubeconfig", content);
    return read_cluster_config(settings, [](const char*) { return ""; });
  }
  /// A kubeconfig with a cluster and a user of these members, in flow style.
  absl::StatusOr<ClusterConfig> kubeconfig(const std::string& cluster, const std::string& user) const {
    return kubeconfig(
        "current-context: here\ncontexts: [{name: here, context: {cluster: c, user: u, namespace: namespace_name}}]\nclusters: "
        "[{name: "
        "c, cluster: {" +
        cluster + "}}]\nusers: [{name: u, user: {" + user + "}}]\n");
  }
  std::string mistake(const std::string& cluster, const std::string& user = "token: t") const {
    const auto read = kubeconfig(cluster, user);
    std::string text(read.status().message());
    if (const std::size_t at = text.find(folder); at != std::string::npos) text.erase(at, folder.string().size() + 1);
    return text;
  }

  fs::path folder;
};

TEST_F(ClusterConfigTest, IsThatOfThePodsServiceAccount) {
  write("namespace", "serving\n");
  const auto cluster = in_pod(folder, {{"KUBERNETES_SERVICE_HOST", "10.96.0.1"}, {"KUBERNETES_SERVICE_PORT", "443"}});
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  EXPECT_EQ(cluster->authority(), "10.96.0.1:443");
  EXPECT_EQ(cluster->server_name, "10.96.0.1");
  EXPECT_EQ(cluster->namespace_name, "serving");
  EXPECT_EQ(cluster->token.file, folder / "token");
  EXPECT_EQ(cluster->authorities.file, folder / "ca.crt");
  EXPECT_TRUE(cluster->uses_tls && cluster->verify);
  EXPECT_EQ(in_pod(folder, {{"KUBERNETES_SERVICE_HOST", "fd00::1"}, {"KUBERNETES_SERVICE_PORT", "6443"}})->authority(),
            "[fd00::1]:6443");
}

TEST_F(ClusterConfigTest, SaysThatThisIsNoPod) {
  for (const char* port : {"", "0", "65536", "x"}) {
    const auto cluster = in_pod(folder, {{"KUBERNETES_SERVICE_HOST", "10.96.0.1"}, {"KUBERNETES_SERVICE_PORT", port}});
    EXPECT_NE(cluster.status().message().find("KUBERNETES_SERVICE_HOST"), cluster.status().message().npos);
  }
  EXPECT_FALSE(in_pod(folder, {{"KUBERNETES_SERVICE_PORT", "443"}}).ok());
}

TEST_F(ClusterConfigTest, IsTheCurrentContextOfAKubeconfig) {
  const auto cluster = kubeconfig(R"(
apiVersion: v1
kind: Config
current-context: second
preferences: {}
clusters:
- {name: other, cluster: {server: https://other.example}}
- name: mine
  cluster:
    certificate-authority-data: |
      YXV0aG9y
      aXRpZXM=
    server: https://api.example:6443/k8s/clusters/c-1/
    tls-server-name: kubernetes.default
contexts:
- {name: first, context: {cluster: other, user: other}}
- {name: second, context: {cluster: mine, user: me, namespace: serving}}
users:
- name: me
  user: {client-certificate: me.crt, client-key: /keys/me.key, tokenFile: token, token: not this}
)");
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  EXPECT_EQ(cluster->authority(), "api.example:6443");
  EXPECT_EQ(cluster->base_path, "/k8s/clusters/c-1");
  EXPECT_EQ(cluster->server_name, "kubernetes.default");
  EXPECT_EQ(cluster->authorities.text, "authorities");
  EXPECT_EQ(cluster->certificate.file, folder / "me.crt");
  EXPECT_EQ(cluster->key.file, "/keys/me.key");
  EXPECT_EQ(cluster->token.file, folder / "token");
  EXPECT_EQ(cluster->namespace_name, "serving");
}

TEST_F(ClusterConfigTest, TakesEveryFormOfServer) {
  const std::vector<std::pair<std::string, std::string>> cases{
      {"https://api.example", "api.example:443"}, {"https://[fd00::1]:6443", "[fd00::1]:6443"},
      {"https://[fd00::1]", "[fd00::1]:443"},     {"http://127.0.0.1:8001", "127.0.0.1:8001"},
      {"http://localhost", "localhost:80"},       {"http://[::1]:8001/", "[::1]:8001"}};
  for (const auto& [server, authority] : cases) {
    const auto cluster = kubeconfig("server: '" + server + "'", "token: t");
    ASSERT_TRUE(cluster.ok()) << cluster.status();
    EXPECT_EQ(cluster->authority(), authority);
    EXPECT_EQ(cluster->base_path, "");
    EXPECT_EQ(cluster->uses_tls, server.starts_with("https"));
  }
  EXPECT_FALSE(kubeconfig("server: https://a, insecure-skip-tls-verify: true", "token: t")->verify);
}

TEST_F(ClusterConfigTest, RefusesWhatItCannotDoWithFileAndKey) {
  EXPECT_EQ(
      mistake("server: https://a", "exec: {command: aws}"),
      "kubeconfig:4: users[0].user.exec: plug-ins that make credentials are not supported: give a token, a tokenFile or a "
      "client certificate");
  EXPECT_EQ(mistake("server: https://a", "auth-provider: {name: gcp}"),
            "kubeconfig:4: users[0].user.auth-provider: plug-ins that make credentials are not supported: give a token, a "
            "tokenFile or a client certificate");
  EXPECT_EQ(mistake("server: https://a", "password: secret"),
            "kubeconfig:4: users[0].user.password: API servers take no passwords any more");
  EXPECT_EQ(mistake("server: https://a", "as: admin"), "kubeconfig:4: users[0].user.as: impersonation is not supported");
  EXPECT_EQ(mistake("server: https://a, proxy-url: http://p"),
            "kubeconfig:3: clusters[0].cluster.proxy-url: proxies are not supported");
}

TEST_F(ClusterConfigTest, RefusesMistakesWithoutTellingSecrets) {
  EXPECT_EQ(mistake("server: https://a, certificate-authority-data: '!'"),
            "kubeconfig:3: clusters[0].cluster.certificate-authority-data: is not base64");
  EXPECT_EQ(
      mistake("server: http://10.0.0.1"),
      "kubeconfig:3: clusters[0].cluster.server: plaintext is for a proxy on this machine only (127.0.0.1, ::1, localhost); "
      "https is expected");
  EXPECT_EQ(
      mistake("server: https://a, certificate-authority: ca, insecure-skip-tls-verify: true"),
      "kubeconfig:3: clusters[0].cluster.insecure-skip-tls-verify: an authority is named as well; one of both is expected");
  EXPECT_EQ(mistake("server: https://a", "client-certificate-data: c2VjcmV0"),
            "kubeconfig:4: users[0].user: client-certificate and client-key belong together; one of them is missing");
  for (const char* server : {"", "a", "ftp://a", "https://", "https://:1", "https://a:0", "https://a:b", "https://a b",
                             "https://u@a", "https://a?b"}) {
    EXPECT_EQ(mistake("server: '" + std::string(server) + "'"),
              "kubeconfig:3: clusters[0].cluster.server: https://host, with a port and a path if need be, is expected")
        << server;
  }
  EXPECT_EQ(mistake("server: https://a", "client-key-data: 'c2VjcmV0!', token: secret").find("secret"), std::string::npos);
}

TEST_F(ClusterConfigTest, SaysWhichNameIsMissing) {
  EXPECT_NE(kubeconfig("clusters: []\n").status().message().find("current-context: the name of a context is expected"),
            std::string::npos);
  EXPECT_NE(kubeconfig("current-context: a\n").status().message().find("contexts: holds nothing with the name `a`"),
            std::string::npos);
  EXPECT_FALSE(kubeconfig("").ok());
  EXPECT_FALSE(kubeconfig("[]").ok());
  EXPECT_FALSE(kubeconfig("current-context: [").ok());
  EXPECT_FALSE(kubeconfig("current-context: a\ncontexts: [x, {name: a}, 3]\n").ok());
  config::Kubernetes settings;
  settings.kubeconfig = folder / "absent";
  EXPECT_NE(read_cluster_config(settings).status().message().find("absent"), std::string::npos);
}

}  // namespace
}  // namespace router::kubernetes
