#include "router/kubernetes/api_client.h"

#include <gtest/gtest.h>
#include <sys/uio.h>

#include <array>
#include <boost/json/object.hpp>
#include <filesystem>
#include <fstream>

#include "router/kubernetes/group_version_resource.h"
#include "router/kubernetes/requests.h"
#include "tests/support/certificates.h"
#include "tests/unit/kubernetes/api_server.h"

namespace router::kubernetes::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Answer = absl::StatusOr<ApiAnswer>;

ApiRequest get(const std::string& path) {
  ApiRequest request;
  request.path = path;
  return request;
}

class ApiClientTest : public ::testing::Test {
 protected:
  ~ApiClientTest() override {
    cancellation->cancel();
    shard.poll();  // requests end before their client is destroyed
  }
  auto start(ApiRequest request) {
    if (client == nullptr) client = make_client(shard, resolver, server.cluster());
    return shard.start(client->request(*cancellation, std::move(request)));
  }
  Answer end(const TestShard::Started<Answer>& started) {
    EXPECT_TRUE(turn_until(shard, [&] { return started.done(); }));
    return started.peek();
  }

  TestShard shard;
  runtime::Resolver resolver{shard};
  ApiServer server{shard};
  std::shared_ptr<runtime::CancelSource> cancellation = runtime::CancelSource::make(shard);
  std::unique_ptr<ApiClient> client;
};

TEST_F(ApiClientTest, AsksOnOneConnection) {
  for (int i = 0; i < 3; ++i) {
    const auto started = start(get("/api/v1/pods?limit=1"));
    const Asked asked = server.next();
    EXPECT_EQ(asked.method, "GET");
    EXPECT_EQ(asked.target, "/api/v1/pods?limit=1");
    EXPECT_TRUE(asked.has("\r\nHost: " + server.cluster().authority() + "\r\n")) << asked.head;
    EXPECT_TRUE(asked.has("\r\nAccept: application/json\r\n"));
    EXPECT_FALSE(asked.has("Authorization"));
    asked.answer(200, "{}", "Retry-After: 7\r\n");
    const Answer answer = end(started);
    ASSERT_TRUE(answer.ok()) << answer.status();
    EXPECT_EQ(answer->status, 200);
    EXPECT_EQ(answer->body, "{}");
    EXPECT_EQ(answer->retry_after, seconds(7));
  }
  EXPECT_EQ(server.connections(), 1u);
}

TEST_F(ApiClientTest, PutsTheServersPathInFrontOfAll) {
  ClusterConfig cluster = server.cluster();
  cluster.base_path = "/k8s/c-1";
  client = make_client(shard, resolver, std::move(cluster));
  const auto started = start(get("/api/v1/pods"));
  EXPECT_EQ(server.next().target, "/k8s/c-1/api/v1/pods");
  cancellation->cancel();
  EXPECT_TRUE(absl::IsCancelled(end(started).status()));
}

TEST_F(ApiClientTest, SendsChanges) {
  const GroupVersionResource kind{"example.com", "v1", "models"};
  const boost::json::object body{{"kind", "Model"}};
  const std::vector<std::pair<ApiRequest, std::string>> cases{
      {apply_request(object_path(kind, "a", "m", "status"), body),
       "PATCH /apis/example.com/v1/namespaces/a/models/m/status?fieldManager=inference-router&force=true "},
      {create_request(collection_path(kind, "a"), body),
       "POST /apis/example.com/v1/namespaces/a/models?fieldManager=inference-router "},
      {replace_request(object_path(kind, "a", "m"), body),
       "PUT /apis/example.com/v1/namespaces/a/models/m?fieldManager=inference-router "}};
  for (const auto& [request, line] : cases) {
    const auto started = start(request);
    const Asked asked = server.next();
    EXPECT_TRUE(asked.head.starts_with(line)) << asked.head;
    EXPECT_EQ(asked.body, R"({"kind":"Model"})");
    EXPECT_EQ(asked.has("Content-Type: application/apply-patch+yaml\r\n"), request.method == "PATCH");
    EXPECT_EQ(asked.has("Content-Type: application/json\r\n"), request.method != "PATCH");
    asked.answer(200, "{}");
    EXPECT_TRUE(end(started)->succeeded());
  }
}

TEST_F(ApiClientTest, SendsAndTakesBodiesLargerThanAnyBuffer) {
  const std::string large(5'000'000, 'x');
  ApiRequest request = get("/large");
  request.method = "POST";
  request.content_type = "application/json";
  request.body = large;
  const auto started = start(request);
  const Asked asked = server.next();
  EXPECT_EQ(asked.body, large);
  asked.answer(200, large);
  EXPECT_EQ(end(started)->body, large);
}

TEST_F(ApiClientTest, RefusesAnAnswerThatIsTooLarge) {
  client = make_client(shard, resolver, server.cluster());
  auto opening = shard.start(client->open(*cancellation, get("/large")));
  server.next().answer(200, std::string(2000, 'x'));
  ASSERT_TRUE(turn_until(shard, [&] { return opening.done(); }));
  const auto exchange = opening.get();
  ASSERT_TRUE(exchange.ok());
  const auto reading = shard.start((*exchange)->read_all(*cancellation, 1999, kNever));
  ASSERT_TRUE(turn_until(shard, [&] { return reading.done(); }));
  EXPECT_TRUE(absl::IsResourceExhausted(reading.peek().status())) << reading.peek().status();
}

TEST_F(ApiClientTest, TellsTheServersOwnWords) {
  const auto started = start(get("/"));
  server.next().answer(403, status(403, "pods is forbidden:\\n no"));
  EXPECT_EQ(message_of(*end(started)), "pods is forbidden:? no");
  EXPECT_EQ(message_of({500, {}, "<html>"}), "");
}

TEST_F(ApiClientTest, SaysWhichServerCannotBeReached) {
  server.close();
  EXPECT_EQ(end(start(get("/"))).status().message(),
            "API server " + server.cluster().authority() + ": it cannot be reached: Connection refused");
}

TEST_F(ApiClientTest, SaysWhatDoesNotAnswerInTime) {
  const auto started = start(get("/"));
  const Asked asked = server.next();
  shard.advance(ApiClient::kHeadWait - milliseconds(1));
  EXPECT_FALSE(started.done());
  shard.advance(milliseconds(1));
  ASSERT_TRUE(started.done());
  EXPECT_EQ(started.peek().status().message(), "API server " + server.cluster().authority() + ": it does not answer in time");
  EXPECT_TRUE(asked.connection->at_end());

  const auto slow = start(get("/"));
  server.next().send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\na");
  ASSERT_TRUE(turn_until(shard, [&] {
    shard.advance(seconds(1));
    return slow.done();
  }));
  EXPECT_TRUE(absl::IsDeadlineExceeded(slow.peek().status())) << slow.peek().status();
}

TEST_F(ApiClientTest, KeepsToTheDeadlineOfARequest) {
  ApiRequest request = get("/");
  request.deadline = shard.now() + seconds(3);
  const auto started = start(request);
  const Asked asked = server.next();
  shard.advance(seconds(3));
  ASSERT_TRUE(started.done());
  EXPECT_TRUE(absl::IsDeadlineExceeded(started.peek().status()));
}

TEST_F(ApiClientTest, RefusesWhatIsNotHttp) {
  for (const char* text :
       {"220 mail.example\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n"}) {
    const auto started = start(get("/"));
    server.next().send(text);
    EXPECT_EQ(end(started).status().message(),
              "API server " + server.cluster().authority() + ": it does not answer in valid HTTP/1.1")
        << text;
  }
}

TEST_F(ApiClientTest, SkipsInterimAnswers) {
  const auto started = start(get("/"));
  const Asked asked = server.next();
  asked.send("HTTP/1.1 103 Early Hints\r\n\r\n");
  asked.answer(200, "{}");
  EXPECT_EQ(end(started)->status, 200);
}

TEST_F(ApiClientTest, DoesNotUseAConnectionThatHasEndedOrRestedTooLong) {
  const auto started = start(get("/"));
  const Asked first = server.next();
  first.answer(200, "{}");
  ASSERT_TRUE(end(started).ok());
  first.cut();
  ApiRequest change = get("/");
  change.method = "POST";  // the client does not repeat a POST
  const auto second = start(change);
  server.next().answer(200, "{}");
  EXPECT_TRUE(end(second).ok());
  EXPECT_EQ(server.connections(), 2u);
  shard.advance(ApiClient::kRestMax + seconds(1));
  start(get("/"));
  server.next().answer(200, "{}", "Connection: close\r\n");
  EXPECT_EQ(server.connections(), 3u);
  shard.poll();
  start(get("/"));
  server.next();
  EXPECT_EQ(server.connections(), 4u);
}

TEST_F(ApiClientTest, AsksAgainIfAConnectionEndsAtTheMomentItIsUsedAgain) {
  for (const char* method : {"GET", "POST"}) {
    const auto first = start(get("/"));
    server.next().answer(200, "{}");
    ASSERT_TRUE(end(first).ok());
    ApiRequest request = get("/again");
    request.method = method;
    const auto second = start(request);
    server.next().cut();
    if (request.method == "GET") {
      server.next().answer(200, "{}");
      EXPECT_TRUE(end(second).ok());
    } else {
      EXPECT_TRUE(absl::IsUnavailable(end(second).status())) << "the server may have executed the request";
    }
  }
}

TEST_F(ApiClientTest, TriesOnceMoreWithANewToken) {
  std::string folder = std::filesystem::temp_directory_path() / "token-XXXXXX";
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  const std::string file = folder + "/token";
  std::ofstream(file) << "old";
  ClusterConfig cluster = server.cluster();
  cluster.token = {file, "", file};
  client = make_client(shard, resolver, std::move(cluster));
  auto started = start(get("/"));
  Asked asked = server.next();
  EXPECT_TRUE(asked.has("Bearer old\r\n"));
  std::ofstream(file) << "new";
  asked.answer(401, "{}");
  asked = server.next();
  EXPECT_TRUE(asked.has("Bearer new\r\n"));
  asked.answer(401, "{}");
  EXPECT_EQ(end(started)->status, 401) << "a token that has not changed is not sent again";
  std::ofstream(file) << "with\r\nline break";
  started = start(get("/"));
  asked = server.next();
  asked.answer(401, "{}");
  EXPECT_EQ(end(started)->status, 401);
  std::filesystem::remove_all(folder);
}

TEST_F(ApiClientTest, RefusesCredentialsThatCannotBeRead) {
  ClusterConfig cluster = server.cluster();
  cluster.token = {"/absent/token", "", "/absent/token"};
  const auto made = ApiClient::make(shard, resolver, cluster);
  EXPECT_NE(made.status().message().find("/absent/token"), std::string::npos) << made.status();
  cluster.token = {"", "secret\r\nX: y", "token"};
  EXPECT_EQ(ApiClient::make(shard, resolver, cluster).status().message(),
            "token holds no token: one line of visible ASCII characters is expected");
}

TEST_F(ApiClientTest, EndsWhenItIsCancelled) {
  const auto started = start(get("/"));
  const Asked asked = server.next();
  cancellation->cancel();
  shard.poll();
  ASSERT_TRUE(started.done());
  EXPECT_TRUE(absl::IsCancelled(started.peek().status()));
  EXPECT_TRUE(asked.connection->at_end());
}

class TlsApiServer {
 public:
  explicit TlsApiServer(TestShard& shard) : shard_(shard) {
    router::test::CertificateRequest request;
    request.names = {"kubernetes.default"};
    const auto paths = authority.issue(request);
    tls::ServerOptions options;
    options.certificates = {{paths.certificate_file, paths.key_file, ""}};
    contexts_ = tls::ServerContext::make(options, *tls::TicketKeys::make({}), 1).value();
  }
  ClusterConfig cluster() const {
    ClusterConfig cluster;
    cluster.host = "127.0.0.1";
    cluster.port = listener_.address().port();
    cluster.server_name = "kubernetes.default";
    cluster.authorities = {authority.ca_file(), "", authority.ca_file()};
    return cluster;
  }
  /// Answers one request. Fails where the client fails.
  Answer serve(ApiClient& client) {
    const auto cancellation = runtime::CancelSource::make(shard_);
    const auto asking = shard_.start(client.request(*cancellation, get("/")));
    tls::Stream stream;
    bool answered = false;
    EXPECT_TRUE(turn_until(shard_, [&] {
      if (Descriptor accepted; !stream.is_open() && (accepted = listener_.accept()))
        stream = tls::Stream(runtime::Socket(shard_, accepted.release()), *contexts_.front());
      char bytes[2048];
      if (stream.is_open() && !answered && stream.handshake().state == runtime::IoState::kDone && stream.read(bytes).moved()) {
        constexpr std::string_view kAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        const iovec piece{const_cast<char*>(kAnswer.data()), kAnswer.size()};
        stream.write(std::span(&piece, 1));
        answered = true;
      }
      return asking.done();
    }));
    return asking.peek();
  }

  router::test::TestAuthority authority;

 private:
  TestShard& shard_;
  LoopbackListener listener_;
  std::vector<std::shared_ptr<tls::ServerContext>> contexts_;
};

TEST_F(ApiClientTest, TrustsTheClustersAuthorityAlone) {
  TlsApiServer secure(shard);
  const auto right = make_client(shard, resolver, secure.cluster());
  const Answer answer = secure.serve(*right);
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->body, "ok");

  router::test::TestAuthority stranger;
  ClusterConfig cluster = secure.cluster();
  cluster.authorities = {stranger.ca_file(), "", stranger.ca_file()};
  const auto wrong = make_client(shard, resolver, cluster);
  EXPECT_EQ(secure.serve(*wrong).status().message(),
            "API server " + cluster.authority() + ": the peer's certificate is from an unknown authority");
  cluster = secure.cluster();
  cluster.server_name = "127.0.0.1";
  const auto misnamed = make_client(shard, resolver, cluster);
  EXPECT_EQ(secure.serve(*misnamed).status().message(),
            "API server " + cluster.authority() + ": the peer's certificate is for another name");
}

TEST_F(ApiClientTest, TakesUpAnAuthorityThatHasChanged) {
  TlsApiServer secure(shard);
  router::test::TestAuthority stranger;
  const auto content = [](const std::string& file) {
    std::ifstream stream(file);
    return std::string(std::istreambuf_iterator<char>(stream), {});
  };
  ClusterConfig cluster = secure.cluster();
  const std::string file = stranger.write_file(content(stranger.ca_file()));
  cluster.authorities = {file, "", file};
  const auto following = make_client(shard, resolver, cluster);
  EXPECT_FALSE(secure.serve(*following).ok());
  std::ofstream(file) << "half a certifica";
  shard.advance(Credentials::kReadAgain);
  EXPECT_FALSE(secure.serve(*following).ok());
  std::ofstream(file) << content(secure.authority.ca_file());
  shard.advance(Credentials::kReadAgain);
  const Answer answer = secure.serve(*following);
  EXPECT_TRUE(answer.ok()) << answer.status();
}

TEST(ApiClientNames, AreResolvedAndEveryAddressIsTried) {
  TestShard shard;
  ApiServer server(shard);
  runtime::Resolver resolver(shard, [](const std::string& host, std::uint16_t port) -> runtime::Resolver::Addresses {
    if (host != "api.example") return absl::NotFoundError("no such name");
    return std::vector{*runtime::Address::parse("127.0.0.2", port), *runtime::Address::parse("127.0.0.1", port)};
  });
  const auto cancellation = runtime::CancelSource::make(shard);
  ClusterConfig cluster = server.cluster();
  cluster.host = "api.example";
  const auto client = make_client(shard, resolver, cluster);
  const auto asking = shard.start(client->request(*cancellation, get("/")));
  server.next().answer(200, "{}");
  ASSERT_TRUE(turn_until(shard, [&] { return asking.done(); }));
  EXPECT_TRUE(asking.peek().ok()) << asking.peek().status();

  cluster.host = "absent.example";
  const auto lost = make_client(shard, resolver, cluster);
  const auto failing = shard.start(lost->request(*cancellation, get("/")));
  ASSERT_TRUE(turn_until(shard, [&] { return failing.done(); }));
  EXPECT_NE(failing.peek().status().message().find("its name cannot be resolved: no such name"), std::string::npos)
      << failing.peek().status();
}

/// A port that neither accepts nor refuses a connection, because its backlog is full.
class SilentPort {
 public:
  explicit SilentPort(const runtime::Address& address)
      : listening_(::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
    if (::bind(listening_.get(), address.get(), address.length()) != 0 || ::listen(listening_.get(), 0) != 0)
      throw std::runtime_error("listen");
    for (Descriptor& each : waiting_) {
      each = Descriptor(::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
      ::connect(each.get(), address.get(), address.length());
    }
  }

 private:
  Descriptor listening_;
  std::array<Descriptor, 3> waiting_;
};

TEST(ApiClientNames, LeaveTimeForTheOtherAddressWhenOneIsSilent) {
  TestShard shard;
  ApiServer server(shard);
  ClusterConfig cluster = server.cluster();
  const SilentPort silent(*runtime::Address::parse("127.0.0.2", cluster.port));
  runtime::Resolver resolver(shard, [](const std::string&, std::uint16_t port) -> runtime::Resolver::Addresses {
    return std::vector{*runtime::Address::parse("127.0.0.2", port), *runtime::Address::parse("127.0.0.1", port)};
  });
  cluster.host = "api.example";
  const auto client = make_client(shard, resolver, cluster);
  const auto cancellation = runtime::CancelSource::make(shard);
  const auto asking = shard.start(client->request(*cancellation, get("/")));
  const TimePoint begun = shard.now();
  ASSERT_TRUE(turn_until(shard, [&] {
    shard.advance(milliseconds(10));
    return server.is_asked_now();
  }));
  EXPECT_LT(shard.now(), begun + ApiClient::kConnectMax);
  cancellation->cancel();
  shard.poll();
}

}  // namespace
}  // namespace router::kubernetes::test
