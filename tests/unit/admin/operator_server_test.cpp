#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/admin/operator_server_world.h"

namespace router::admin {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;

TEST_F(OperatorServerTest, AnswersAndKeepsTheConnection) {
  listen();
  OperatorClient client = connect();
  EXPECT_EQ(client.get("/hello?you").body, "hello you");
  const auto again = client.get("/hello");
  EXPECT_EQ(again.status, 200);
  EXPECT_THAT(again.head, HasSubstr("Content-Type: text/plain\r\n"));
  EXPECT_FALSE(client.closed());
}

TEST_F(OperatorServerTest, AnswersRequestsThatCameTogether) {
  listen();
  OperatorClient client = connect();
  client.send("GET /hello?1 HTTP/1.1\r\nHost: x\r\n\r\nGET /hello?2 HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(client.receive().body, "hello 1");
  EXPECT_EQ(client.receive().body, "hello 2");
}

TEST_F(OperatorServerTest, ClosesWhenAskedTo) {
  listen();
  for (const char* request : {"GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "GET /hello HTTP/1.0\r\n\r\n"}) {
    OperatorClient client = connect();
    EXPECT_EQ(client.ask(request).status, 200);
    EXPECT_TRUE(client.closed());
  }
}

TEST_F(OperatorServerTest, AnswersHeadLikeGetWithoutTheBody) {
  listen();
  OperatorClient client = connect();
  client.send("HEAD /hello?you HTTP/1.1\r\nHost: x\r\n\r\n");
  const auto answer = client.receive(true);
  EXPECT_EQ(answer.status, 200);
  EXPECT_THAT(answer.head, HasSubstr("Content-Length: 9\r\n"));
  EXPECT_EQ(client.get("/hello?1").body, "hello 1");
}

TEST_F(OperatorServerTest, TakesABody) {
  listen();
  EXPECT_EQ(connect().ask("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody").body, "body");
}

TEST_F(OperatorServerTest, SaysWhatThereIsWhenThePathIsUnknown) {
  listen();
  const auto answer = connect().get("/nothing");
  EXPECT_EQ(answer.status, 404);
  EXPECT_THAT(answer.body, HasSubstr("GET /hello"));
  EXPECT_THAT(answer.body, HasSubstr(R"("code":"not_found")"));
}

TEST_F(OperatorServerTest, SaysWhichMethodsThereAre) {
  listen();
  const auto answer = connect().post("/hello");
  EXPECT_EQ(answer.status, 405);
  EXPECT_THAT(answer.head, HasSubstr("Allow: GET, HEAD\r\n"));
}

TEST_F(OperatorServerTest, LetsNoWebPageChangeAnything) {
  listen();
  OperatorClient client = connect();
  EXPECT_EQ(client.ask("POST /echo HTTP/1.1\r\nHost: x\r\nOrigin: http://bad\r\nContent-Length: 0\r\n\r\n").status, 403);
  EXPECT_EQ(client.ask("GET /hello HTTP/1.1\r\nHost: x\r\nOrigin: http://bad\r\n\r\n").status, 200);
}

TEST_F(OperatorServerTest, AnswersNoPageWhoseOwnNameWasMadeToLeadHere) {
  listen({.address = "127.0.0.1:0", .checks_host = true});
  const auto status = [this](const std::string& fields, const std::string& version = "1.1") {
    return connect().ask("GET /hello HTTP/" + version + "\r\n" + fields + "\r\n").status;
  };
  EXPECT_EQ(status("Host: rebound.example:9902\r\n"), 403);
  EXPECT_EQ(status("Host: \r\n"), 403);
  EXPECT_EQ(status(""), 403);
  EXPECT_EQ(status("", "1.0"), 200);
  EXPECT_EQ(status("Host: localhost\r\nHost: localhost\r\n"), 400);
  for (const char* host : {"localhost", "LOCALHOST:9902", "localhost.:1", "127.0.0.1:19902", "127.1.2.3", "[::1]:80"}) {
    EXPECT_EQ(status(std::string("Host: ") + host + "\r\n"), 200) << host;
  }
}

TEST_F(OperatorServerTest, AnswersNoPageButItsOwnWhereTheHostIsChecked) {
  listen({.address = "127.0.0.1:0", .checks_host = true});
  const auto post = [this](const std::string& origin) {
    return connect()
        .ask("POST /echo HTTP/1.1\r\nHost: localhost:9902\r\nOrigin: " + origin + "\r\nContent-Length: 0\r\n\r\n")
        .status;
  };
  EXPECT_EQ(post("http://localhost:9902"), 200);
  for (const char* origin : {"http://localhost", "http://localhost:9903", "https://localhost:9902", "null", "http://bad"}) {
    EXPECT_EQ(post(origin), 403) << origin;
  }
  EXPECT_EQ(connect().ask("GET /hello HTTP/1.1\r\nHost: localhost\r\nOrigin: http://bad\r\n\r\n").status, 403);
}

TEST_F(OperatorServerTest, SurvivesAHandlerThatThrowsAndTellsNoDetail) {
  listen();
  OperatorClient client = connect();
  const auto answer = client.get("/bug");
  EXPECT_EQ(answer.status, 500);
  EXPECT_THAT(answer.body, Not(HasSubstr("secret")));
  EXPECT_EQ(client.get("/hello").status, 200);
}

TEST_F(OperatorServerTest, RefusesWhatIsTooLargeOrNoHttp) {
  listen();
  const std::string large(17'000, 'x');
  const std::pair<std::string, int> cases[] = {
      {"GET /hello HTTP/1.1\r\nHost: x\r\nX: " + large + "\r\n\r\n", 431},
      {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 17000\r\n\r\n" + large, 413},
      {"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4268\r\n" + large + "\r\n0\r\n\r\n", 413},
      {"nonsense\r\n\r\n", 400},
  };
  for (const auto& [request, status] : cases) {
    OperatorClient client = connect();
    EXPECT_EQ(client.ask(request).status, status) << request.substr(0, 60);
    EXPECT_TRUE(client.closed());
  }
}

TEST_F(OperatorServerTest, ClosesAConnectionWhoseHeadTakesTwoSeconds) {
  listen();
  OperatorClient silent = connect();
  OperatorClient slow = connect();
  slow.send("GET /hel");
  shard.advance(1900ms);
  EXPECT_FALSE(silent.closed());
  slow.send("lo HTTP");
  shard.advance(100ms);
  EXPECT_TRUE(silent.closed());
  EXPECT_TRUE(slow.closed());
  EXPECT_EQ(server->connections(), 0u);
}

TEST_F(OperatorServerTest, KeepsAConnectionBetweenRequestsForTenSecondsAndThenWantsAHeadInTwo) {
  listen();
  OperatorClient client = connect();
  OperatorClient slow = connect();
  EXPECT_EQ(client.get("/hello").status, 200);
  EXPECT_EQ(slow.get("/hello").status, 200);
  shard.advance(9900ms);
  EXPECT_EQ(client.get("/hello").status, 200);
  slow.send("GET /hel");
  shard.advance(2s);
  EXPECT_TRUE(slow.closed());
  shard.advance(8s);
  EXPECT_TRUE(client.closed());
}

TEST_F(OperatorServerTest, WaitsTenSecondsForABody) {
  listen();
  OperatorClient client = connect();
  client.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbo");
  shard.advance(9900ms);
  EXPECT_EQ(client.ask("dy").body, "body");
}

TEST_F(OperatorServerTest, ClosesAConnectionThatDoesNotTakeItsAnswer) {
  listen();
  OperatorClient client = connect();
  client.send("GET /large HTTP/1.1\r\nHost: x\r\n\r\n");
  shard.poll();
  EXPECT_EQ(server->connections(), 1u);
  shard.advance(10s);
  shard.poll();
  EXPECT_EQ(server->connections(), 0u);
}

TEST_F(OperatorServerTest, SendsALargeAnswerWhole) {
  listen();
  EXPECT_EQ(connect().get("/large").body.size(), 20'000'000u);
}

TEST_F(OperatorServerTest, ServesWhoAsksAtTheLimitAndClosesWhoHasKeptItWaitingLongest) {
  listen({.address = "127.0.0.1:0", .connections_max = 3});
  OperatorClient first = connect();
  OperatorClient second = connect();
  OperatorClient third = connect();
  EXPECT_EQ(first.get("/hello").status, 200);  // waits again, as the last of the three
  EXPECT_EQ(connect().get("/hello").status, 200);
  EXPECT_TRUE(second.closed());
  EXPECT_EQ(first.get("/hello").status, 200);
  EXPECT_FALSE(third.closed());
}

TEST_F(OperatorServerTest, SparesWhoseRequestHasArrivedWhenItMakesRoom) {
  listen({.address = "127.0.0.1:0", .connections_max = 2});
  const auto open = [this] {
    const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_port = htons(server->port());
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(socket, reinterpret_cast<const sockaddr*>(&name), sizeof name), 0);
    return socket;
  };
  const int asking = open();
  const std::string request = "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n";
  ASSERT_EQ(::send(asking, request.data(), request.size(), 0), static_cast<ssize_t>(request.size()));
  const int silent[] = {open(), open(), open()};
  shard.poll();  // accepts all of them in one turn of the loop, before it reads from any
  char piece[1024];
  EXPECT_GT(::recv(asking, piece, sizeof piece, MSG_DONTWAIT), 0);
  for (const int each : silent) ::close(each);
  ::close(asking);
}

TEST_F(OperatorServerTest, MakesRoomByWhoDoesNotTakeItsAnswerIfNobodyIsSilent) {
  listen({.address = "127.0.0.1:0", .connections_max = 2});
  OperatorClient first = connect();
  OperatorClient second = connect();
  for (OperatorClient* each : {&first, &second}) each->send("GET /large HTTP/1.1\r\nHost: x\r\n\r\n");
  shard.poll();
  EXPECT_EQ(connect().get("/hello").status, 200);
  EXPECT_EQ(first.receive().status, 0);
  EXPECT_EQ(second.receive().status, 200);
}

TEST_F(OperatorServerTest, ClosesEverythingWhenItStops) {
  listen();
  OperatorClient client = connect();
  const std::uint16_t port = server->port();
  server->stop();
  EXPECT_TRUE(client.closed());
  EXPECT_FALSE(OperatorClient(shard, port).connected());
}

TEST_F(OperatorServerTest, MayBeStoppedByAHandler) {
  listen();
  OperatorClient client = connect();
  client.send("POST /stop HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
  EXPECT_TRUE(client.closed());
  EXPECT_EQ(server->connections(), 0u);
}

TEST_F(OperatorServerTest, AnswersWhoeverRetiresItAndEveryConnectionOnceMore) {
  listen();
  OperatorClient asking = connect();
  OperatorClient idle = connect();
  OperatorClient half = connect();
  half.send("GET /hel");
  const std::uint16_t port = server->port();
  EXPECT_EQ(asking.post("/retire").body, "moved");
  EXPECT_TRUE(asking.closed());
  EXPECT_FALSE(OperatorClient(shard, port).connected());
  const auto last = idle.get("/hello?once");
  EXPECT_EQ(last.body, "hello once");
  EXPECT_THAT(last.head, HasSubstr("Connection: close\r\n"));
  EXPECT_TRUE(idle.closed());
  half.send("lo HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(half.receive().status, 200);
  EXPECT_TRUE(half.closed());
}

TEST_F(OperatorServerTest, ServesWhoHasArrivedWhenItRetires) {
  listen();
  const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_port = htons(server->port());
  name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(::connect(socket, reinterpret_cast<const sockaddr*>(&name), sizeof name), 0);
  server->retire();  // the loop has not run yet
  EXPECT_EQ(server->connections(), 1u);
  shard.advance(10s);
  shard.poll();
  EXPECT_EQ(server->connections(), 0u) << "a connection without a request ends like any other";
  ::close(socket);
}

TEST_F(OperatorServerTest, MayMoveToAnotherAddressOfItsOwnPort) {
  listen({.address = "0.0.0.0:0"});
  const std::string moved = "127.0.0.1:" + std::to_string(server->port());
  OperatorServer stranger(shard, {.address = moved}, routes());
  EXPECT_FALSE(stranger.start().ok());
  auto next = std::make_unique<OperatorServer>(shard, OperatorServerOptions{.address = moved}, routes());
  const absl::Status started = next->start(runtime::PortUse::kGivenUp);
  ASSERT_TRUE(started.ok()) << started;
  server->retire();
  std::swap(server, next);
  EXPECT_EQ(connect().get("/hello?you").body, "hello you");
}

TEST_F(OperatorServerTest, MayBeDestroyedWithAConnectionWaitingToBeAccepted) {
  listen();
  const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_port = htons(server->port());
  name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(::connect(socket, reinterpret_cast<const sockaddr*>(&name), sizeof name), 0);
  server.reset();
  shard.poll();
  ::close(socket);
}

TEST_F(OperatorServerTest, NamesTheAddressThatItCannotListenOn) {
  listen();
  const std::string taken = "127.0.0.1:" + std::to_string(server->port());
  for (const std::string& address :
       {taken, std::string("nonsense"), std::string(":80"), std::string("127.0.0.1:70000"), std::string("127.0.0.1:x"),
        std::string("unix:relative"), std::string("unix:/none/at/all"), "unix:/" + std::string(200, 'x')}) {
    OperatorServer other(shard, {.address = address}, {});
    const absl::Status started = other.start();
    EXPECT_FALSE(started.ok()) << address;
    EXPECT_THAT(std::string(started.message()), HasSubstr(address));
  }
}

}  // namespace
}  // namespace router::admin
