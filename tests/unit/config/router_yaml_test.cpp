#include "config/router_yaml.h"

#include <gmock/gmock.h>

#include "config_folder.h"

namespace router::config::test {
namespace {

using std::chrono::milliseconds;
using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(RouterYaml, HasTheDocumentedDefaults) {
  const ConfigFolder folder;
  const Process process = folder.load()->process;
  ASSERT_EQ(process.listeners.size(), 1u);
  EXPECT_EQ(process.listeners[0].address, "0.0.0.0");
  EXPECT_EQ(process.listeners[0].port, 8080);
  EXPECT_FALSE(process.listeners[0].tls);
  EXPECT_FALSE(process.listeners[0].proxy_protocol);
  EXPECT_EQ(process.limits.max_connections, 20000u);
  EXPECT_EQ(process.limits.max_connections_per_client, 0u);
  EXPECT_EQ(process.limits.max_handshakes, 4000u);
  EXPECT_EQ(process.limits.min_body_rate, 240u);
  EXPECT_EQ(process.limits.min_send_rate, 240u);
  EXPECT_EQ(process.limits.max_header_bytes, 65536u);
  EXPECT_EQ(process.limits.max_header_fields, 128u);
  EXPECT_EQ(process.limits.header_timeout, milliseconds(10000));
  EXPECT_EQ(process.limits.keep_alive_timeout, milliseconds(75000));
  EXPECT_EQ(process.limits.body_timeout, milliseconds(60000));
  EXPECT_EQ(process.limits.send_timeout, milliseconds(60000));
  EXPECT_EQ(process.limits.requests_per_connection, 100000u);
  EXPECT_EQ(process.threads, 0u);
  EXPECT_TRUE(process.via);
  EXPECT_EQ(process.via_name, "");
  EXPECT_EQ(process.access_log, "");
  EXPECT_TRUE(process.access_log_client_ip);
  EXPECT_EQ(process.log_format, LogFormat::kText);
  EXPECT_FALSE(process.per_replica);
  EXPECT_EQ(process.per_replica_max, 1000u);
  EXPECT_EQ(process.log_file, "");
  EXPECT_EQ(process.log_level, LogLevel::kInfo);
  EXPECT_EQ(process.observe_address, "127.0.0.1:9901");
  EXPECT_EQ(process.admin_address, "127.0.0.1:9902");
  EXPECT_EQ(process.drain_delay, milliseconds(5000));
  EXPECT_EQ(process.drain_grace, milliseconds(300000));
}

constexpr const char* kEveryKey = R"(listeners:
  - {address: "::", port: 80, proxy_protocol: true}
  - port: 8443
    tls:
      certificates:
        - {certificate_file: tls/chain.pem, key_file: tls/key.pem, password_file: tls/password}
        - directory: /secrets/other
      minimum_version: 1.3
      ticket_key_files: [tls/ticket-1, tls/ticket-2]
limits: {max_connections: 7, max_header_bytes: 2048, max_header_fields: 17, header_timeout_ms: 250, keep_alive_timeout_ms: 1500,
         body_timeout_ms: 11, send_timeout_ms: 12, requests_per_connection: 13,
         max_connections_per_client: 14, max_handshakes: 15, min_body_rate: 16, min_send_rate: 0}
threads: 3
trusted_proxies: [10.0.0.0/8, "fd00::/64", 192.0.2.1]
via: false
via_name: router.cluster-1
access_log: log/access.log
log: {file: log/router.log, level: WARNING, format: Json}
access_log_client_ip: false
metrics: {buckets: [0.000001, 5e-05, "0.5", 1, 7200], per_replica: true, per_replica_max: 20}
observe: {address: "0.0.0.0:9901"}
admin: {address: "unix:run/admin.sock"}
drain_delay_ms: 0
drain_grace_ms: 1234
endpoints: [endpoints/*.yml]
)";

TEST(RouterYaml, TakesEveryKey) {
  const ConfigFolder folder;
  folder.write("router.yaml", kEveryKey);
  const absl::StatusOr<Config> config = folder.load();
  ASSERT_TRUE(config.ok()) << config.status().message();
  const Process& process = config->process;
  ASSERT_EQ(process.listeners.size(), 2u);
  EXPECT_EQ(process.listeners[0].address, "::");
  EXPECT_TRUE(process.listeners[0].proxy_protocol);
  const TlsOptions& tls = process.listeners[1].tls.value();
  ASSERT_EQ(tls.certificates.size(), 2u);
  EXPECT_EQ(tls.certificates[0].certificate_file, folder.path("tls/chain.pem"));
  EXPECT_EQ(tls.certificates[0].key_file, folder.path("tls/key.pem"));
  EXPECT_EQ(tls.certificates[0].password_file, folder.path("tls/password"));
  EXPECT_EQ(tls.certificates[1].certificate_file, "/secrets/other/cert.pem");
  EXPECT_EQ(tls.certificates[1].key_file, "/secrets/other/key.pem");
  EXPECT_EQ(tls.minimum_version, "1.3");
  EXPECT_THAT(tls.ticket_key_files, ElementsAre(folder.path("tls/ticket-1"), folder.path("tls/ticket-2")));
  EXPECT_EQ(process.limits.max_connections, 7u);
  EXPECT_EQ(process.limits.max_header_bytes, 2048u);
  EXPECT_EQ(process.limits.max_header_fields, 17u);
  EXPECT_EQ(process.limits.header_timeout, milliseconds(250));
  EXPECT_EQ(process.limits.keep_alive_timeout, milliseconds(1500));
  EXPECT_EQ(process.limits.body_timeout, milliseconds(11));
  EXPECT_EQ(process.limits.send_timeout, milliseconds(12));
  EXPECT_EQ(process.limits.requests_per_connection, 13u);
  EXPECT_EQ(process.limits.max_connections_per_client, 14u);
  EXPECT_EQ(process.limits.max_handshakes, 15u);
  EXPECT_EQ(process.limits.min_body_rate, 16u);
  EXPECT_EQ(process.limits.min_send_rate, 0u);
  EXPECT_EQ(process.threads, 3u);
  EXPECT_THAT(process.trusted_proxies, ElementsAre("10.0.0.0/8", "fd00::/64", "192.0.2.1"));
  EXPECT_FALSE(process.via);
  EXPECT_EQ(process.via_name, "router.cluster-1");
  EXPECT_EQ(process.access_log, folder.path("log/access.log"));
  EXPECT_EQ(process.log_file, folder.path("log/router.log"));
  EXPECT_EQ(process.log_format, LogFormat::kJson);
  EXPECT_FALSE(process.access_log_client_ip);
  EXPECT_EQ(process.log_level, LogLevel::kWarning);
  EXPECT_EQ(process.observe_address, "0.0.0.0:9901");
  EXPECT_EQ(process.admin_address, "unix:" + folder.path("run/admin.sock"));
  EXPECT_THAT(process.buckets, ElementsAre(1us, 50us, 500ms, 1s, 7200s));
  EXPECT_TRUE(process.per_replica);
  EXPECT_EQ(process.per_replica_max, 20u);
  EXPECT_EQ(process.drain_delay, milliseconds(0));
  EXPECT_EQ(process.drain_grace, milliseconds(1234));
  EXPECT_THAT(config->warnings, IsEmpty());
  for (const char* file : {"tls/chain.pem", "tls/key.pem", "tls/password", "tls/ticket-1", "tls/ticket-2"}) {
    EXPECT_THAT(config->files, testing::Contains(folder.path(file)));
  }
}

TEST(RouterYaml, ListensForHttpsOn8443UnlessToldOtherwise) {
  const ConfigFolder folder;
  folder.write("router.yaml", "listeners: [{tls: {certificates: [{directory: tls}]}}]\nendpoints: [endpoints/*.yml]\n");
  EXPECT_EQ(folder.load()->process.listeners[0].port, 8443);
}

TEST(RouterYaml, WritesTheAccessLogToStandardOutputByThatName) {
  const ConfigFolder folder;
  folder.write("router.yaml", std::string(ConfigFolder::kRouter) + "access_log: stdout\n");
  EXPECT_EQ(folder.load()->process.access_log, "stdout");
}

/// The buckets were fixed by the release: an operator who promises 2 s could not see how many requests kept that promise.
TEST(RouterYaml, HadNoWordForBuckets) {
  const ConfigFolder folder;
  EXPECT_THAT(folder.load()->process.buckets, IsEmpty()) << "the router's default buckets apply";
  const auto mistakes_of = [&folder](const std::string& buckets) {
    folder.write("router.yaml", std::string(ConfigFolder::kRouter) + "metrics: {buckets: [" + buckets + "]}\n");
    return folder.mistakes();
  };
  const auto list_of = [](int count) {
    std::string list = "1";
    for (int bound = 2; bound <= count; ++bound) list += ", " + std::to_string(bound);
    return list;
  };
  EXPECT_EQ(mistakes_of(list_of(40)), "");
  EXPECT_THAT(mistakes_of(list_of(41)), HasSubstr("metrics.buckets: are too many; at most 40 are expected"));
  EXPECT_THAT(mistakes_of("1, 1"), HasSubstr("metrics.buckets[1]: `1` is not more than the one before it"));
  EXPECT_THAT(mistakes_of("2, 1.5"), HasSubstr("buckets ascend"));
  for (const char* bad : {"0", "-1", "nan", "inf", "+Inf", "1s", "86401", "0.0000001", "x", "1 2"}) {
    EXPECT_THAT(mistakes_of(bad), HasSubstr("is not a number of seconds from 0.000001 to 86400")) << bad;
  }
  folder.write("router.yaml", std::string(ConfigFolder::kRouter) + "metrics: {bucket: [1]}\n");
  EXPECT_THAT(folder.mistakes(), HasSubstr("bucket"));
}

TEST(RouterYaml, WarnsOfTheProxyProtocolThatNobodyMaySpeak) {
  const ConfigFolder folder;
  folder.write("router.yaml", "listeners: [{proxy_protocol: true}]\nendpoints: [endpoints/*.yml]\n");
  EXPECT_THAT(folder.warnings(), HasSubstr("router.yaml:1: listeners: proxy_protocol"));
}

class AdminAddress : public testing::TestWithParam<const char*> {};
TEST_P(AdminAddress, MayBeOneThatOnlyThisMachineReaches) {
  const ConfigFolder folder;
  folder.write("router.yaml", std::string(ConfigFolder::kRouter) + "admin: {address: '" + GetParam() + "'}\n");
  EXPECT_EQ(folder.mistakes(), "");
}
INSTANTIATE_TEST_SUITE_P(Loopback, AdminAddress,
                         testing::Values("127.0.0.1:0", "127.8.9.1:9902", "[::1]:9902", "localhost:9902", "unix:/run/a.sock"));

class PublicAdminAddress : public testing::TestWithParam<const char*> {};
TEST_P(PublicAdminAddress, NeedsAnExplicitWord) {
  const ConfigFolder folder;
  const std::string admin = std::string(ConfigFolder::kRouter) + "admin:\n  address: '" + GetParam() + "'\n";
  folder.write("router.yaml", admin);
  EXPECT_THAT(folder.mistakes(), HasSubstr("router.yaml:5: admin.address: any client that reaches this address could drain"));
  folder.write("router.yaml", admin + "  unsafe: true\n");
  EXPECT_EQ(folder.mistakes(), "");
}
INSTANTIATE_TEST_SUITE_P(Reachable, PublicAdminAddress,
                         testing::Values("0.0.0.0:9902", "[::]:9902", "10.0.0.1:9902", "127.0.0.1.example.com:9902",
                                         "localhost.example.com:9902", "router:9902"));

using RefusedRouterYaml = RefusedFile;
TEST_P(RefusedRouterYaml, IsToldWithItsLocation) { expect_refused(); }

const std::string kRest = "endpoints: [endpoints/*.yml]\n";
const std::string kGood = ConfigFolder::kRouter;
BadFile bad(const char* name, const std::string& text, const std::string& told) { return {name, "router.yaml", text, told}; }
BadFile bad_listener(const char* name, const std::string& listener, const std::string& told) {
  return bad(name, "listeners:\n  - " + listener + "\n" + kRest, "router.yaml:2: listeners[0]" + told);
}
BadFile bad_line(const char* name, const std::string& line, const std::string& told) {
  return bad(name, kGood + line + "\n", "router.yaml:4: " + told);
}

INSTANTIATE_TEST_SUITE_P(
    Mistakes, RefusedRouterYaml,
    testing::Values(
        bad("ListIsTheWholeFile", "- 1\n", "router.yaml:1: a map of keys is expected"),
        bad("NoListeners", kRest, "router.yaml:1: listeners: at least one listener"),
        bad("EmptyListeners", "listeners: []\n" + kRest, "router.yaml:1: listeners: at least one listener"),
        bad("ListenersAreANumber", "listeners: 5\n" + kRest, "router.yaml:1: listeners: a list is expected"),
        bad("ListenersWithoutValue", "listeners:\n" + kRest, "router.yaml:1: listeners: has no value"),
        bad("ListenerIsAText", "listeners:\n  - 8080\n" + kRest, "router.yaml:2: listeners[0]: a map of keys"),
        bad_listener("PortIsAWord", "port: http", ".port: `http` is not a whole number from 0 to 65535"),
        bad_listener("PortIsTooLarge", "port: 65536", ".port: `65536` is not a whole number from 0 to 65535"),
        bad_listener("PortIsNegative", "port: -1", ".port: `-1` is not"),
        bad_listener("PortIsABrokenNumber", "port: 80.5", ".port: `80.5` is not a whole number"),
        bad_listener("AddressIsAName", "address: localhost", ".address: `localhost` is not an IP address"),
        bad_listener("AddressHasANul", R"(address: "127.0.0.1\0.9")", ".address: `127.0.0.1?.9` is not an IP address"),
        bad_listener("UnknownKey", "ports: 80", ".ports: unknown key; known here: address, port, proxy_protocol, tls"),
        bad_listener("ProxyProtocolIsANumber", "proxy_protocol: 2", ".proxy_protocol: `2` is neither true nor false"),
        bad_listener("TlsWithoutValue", "tls:", ".tls: has no value"),
        bad_listener("TlsWithoutCertificates", "tls: {}", ".tls.certificates: at least one certificate"),
        bad_listener("CertificateWithoutKey", "tls: {certificates: [{certificate_file: a}]}",
                     ".tls.certificates[0].key_file: is missing"),
        bad_listener("CertificateTwice", "tls: {certificates: [{directory: a, key_file: b}]}",
                     ".tls.certificates[0].key_file: cannot stand beside directory"),
        bad_listener("CertificateWithoutPath", "tls: {certificates: [{directory: ''}]}",
                     ".tls.certificates[0].directory: a path is expected"),
        bad_listener("OldTls", "tls: {certificates: [{directory: a}], minimum_version: 1.1}",
                     ".tls.minimum_version: `1.1` is not one of: 1.2, 1.3"),
        bad_listener("TicketKeysAreNoList", "tls: {certificates: [{directory: a}], ticket_key_files: b}",
                     ".tls.ticket_key_files: a list is expected"),
        bad("SamePortTwice", "listeners:\n  - port: 80\n  - port: 80\n" + kRest, "router.yaml:3: listeners[1].port: another"),
        bad_line("NoHandshakes", "limits: {max_handshakes: 0}", "limits.max_handshakes: `0` is not a whole number from 1"),
        bad_line("NegativeRate", "limits: {min_body_rate: -1}", "limits.min_body_rate: `-1` is not a whole number from 0"),
        bad_line("LimitTooSmall", "limits: {max_connections: 0}", "limits.max_connections: `0` is not a whole number from 1"),
        bad_line("HeaderLimitTooLarge", "limits: {max_header_bytes: 1048577}", "limits.max_header_bytes: `1048577` is not"),
        bad_line("TimeoutWithUnit", "limits: {header_timeout_ms: 10s}", "limits.header_timeout_ms: `10s` is not"),
        bad_line("TimeoutOfTwoDays", "limits: {send_timeout_ms: 172800000}",
                 "limits.send_timeout_ms: `172800000` is not a whole number from 1 to 86400000 milliseconds"),
        bad_line("TimeoutBeyondAllNumbers", "limits: {body_timeout_ms: 99999999999999999999}", "limits.body_timeout_ms: `9999"),
        bad_line("TimeoutIsAList", "limits: {body_timeout_ms: [1]}", "limits.body_timeout_ms: a single value is expected"),
        bad_line("LimitsAreAList", "limits: []", "limits: a map of keys is expected"),
        bad_line("TooManyThreads", "threads: 1025", "threads: `1025` is not a whole number from 0 to 1024"),
        bad_line("ProxyIsAName", "trusted_proxies: [10.0.0.1, nginx]", "trusted_proxies[1]: `nginx` is neither"),
        bad_line("NetworkTooLong", "trusted_proxies: [10.0.0.0/33]", "trusted_proxies[0]: `10.0.0.0/33` is neither"),
        bad_line("NetworkOfSix", "trusted_proxies: ['fd00::/129']", "trusted_proxies[0]: `fd00::/129` is neither"),
        bad_line("ViaNameHasASpace", "via_name: a b", "via_name: `a b` is no name for Via"),
        bad_line("ViaNameIsEmpty", "via_name: ''", "via_name: `` is no name for Via"),
        bad_line("ViaNameIsAList", "via_name: 'a,b'", "via_name: `a,b` is no name for Via"),
        bad_line("ViaNameIsLong", "via_name: " + std::string(65, 'a'), "via_name: `aaa"),
        bad_line("ViaIsAName", "via: router-1", "via: `router-1` is neither true nor false"),
        bad_line("LogLevel", "log: {level: loud}", "log.level: `loud` is not one of: debug, info, warning, warn, error"),
        bad_line("ObserveWithoutPort", "observe: {address: 127.0.0.1}", "observe.address: `127.0.0.1` is not host:port"),
        bad_line("AdminWithoutBrackets", "admin: {address: '::1:9902'}", "admin.address: `::1:9902` is not host:port"),
        bad_line("DrainForAnAge", "drain_grace_ms: 86400001", "drain_grace_ms: `86400001` is not"),
        bad_line("LogFormat", "log: {format: xml}", "log.format: `xml` is not one of: text, json"),
        bad_line("PerReplica", "metrics: {per_replica: 5}", "metrics.per_replica: "),
        bad_line("PerReplicaMax", "metrics: {per_replica_max: 0}", "metrics.per_replica_max: "),
        bad_line("ClientIp", "access_log_client_ip: full", "access_log_client_ip: "),
        bad_line("UnknownTopKey", "endpoint: [a.yml]",
                 "endpoint: unknown key; perhaps `endpoints` is meant; known here: access_log, access_log_client_ip, admin, "),
        bad("DuplicateKey", kGood + "threads: 1\nthreads: 2\n", "router.yaml:5: threads: this key is given twice"),
        bad("NoEndpoints", "listeners: [{port: 1}]\n", "router.yaml:1: endpoints: at least one file"),
        bad("EndpointsAreAText", "listeners: [{port: 1}]\nendpoints: a.yml\n", "router.yaml:2: endpoints: a list is expected"),
        bad("EndpointFileIsMissing", "listeners: [{port: 1}]\nendpoints: [none.yml]\n",
            "router.yaml:2: endpoints[0]: there is no file `none.yml`"),
        bad("SecondDocument", kGood + "---\n" + kGood, "router.yaml:5: a second document")),
    name_of);

}  // namespace
}  // namespace router::config::test
