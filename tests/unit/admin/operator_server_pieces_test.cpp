#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/admin/operator_server_world.h"

// Answers that the server makes in pieces while it sends them.
namespace router::admin {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;

TEST_F(OperatorServerTest, SendsWhatIsMadeInPiecesInChunks) {
  listen();
  OperatorClient client = connect();
  client.send("GET /pieces HTTP/1.1\r\nHost: x\r\n\r\n");
  const std::string all = client.receive_all();
  EXPECT_THAT(all, HasSubstr("Transfer-Encoding: chunked"));
  EXPECT_THAT(all, Not(HasSubstr("Content-Encoding")));
  const std::string chunk = "7530\r\n" + std::string(30'000, 'y') + "\r\n";
  EXPECT_THAT(all, testing::EndsWith("\r\n\r\n" + chunk + chunk + chunk + "0\r\n\r\n"));
  EXPECT_EQ(client.get("/hello?again").body, "hello again");  // the connection stays open
}

TEST_F(OperatorServerTest, TakesAnEmptyPieceForNoEnd) {
  listen();
  OperatorClient client = connect();
  client.send("GET /empty-pieces HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(client.receive_all(), testing::EndsWith("\r\n\r\n4\r\nonly\r\n0\r\n\r\n"));
}

TEST_F(OperatorServerTest, EndsPiecesForAnOldClientWithTheConnection) {
  listen();
  OperatorClient client = connect();
  client.send("GET /pieces HTTP/1.0\r\n\r\n");
  const std::string all = client.receive_all();
  EXPECT_THAT(all, Not(HasSubstr("chunked")));
  EXPECT_THAT(all, testing::EndsWith("\r\n\r\n" + std::string(90'000, 'y')));
  EXPECT_TRUE(client.closed());
}

TEST_F(OperatorServerTest, CompressesPiecesForThoseThatAskForIt) {
  listen();
  OperatorClient client = connect();
  client.send("GET /pieces HTTP/1.1\r\nHost: x\r\nAccept-Encoding: identity\r\nAccept-Encoding: gzip\r\n\r\n");
  const std::string all = client.receive_all();
  EXPECT_THAT(all, HasSubstr("Content-Encoding: gzip"));
  EXPECT_THAT(all, HasSubstr("Vary: Accept-Encoding"));
  EXPECT_LT(all.size(), 2000u);
  EXPECT_EQ(client.get("/hello?again").body, "hello again");
}

TEST_F(OperatorServerTest, MakesNoPieceForAHead) {
  listen();
  OperatorClient client = connect();
  client.send("HEAD /pieces HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(client.receive_all(), testing::EndsWith("\r\n\r\n"));
  EXPECT_EQ(pieces_made, 0);
  EXPECT_EQ(client.get("/hello?again").body, "hello again");
}

TEST_F(OperatorServerTest, MakesPiecesAsFastAsTheyAreRead) {
  pieces_there = 10'000;
  listen();
  OperatorClient client = connect();
  client.send("GET /pieces HTTP/1.1\r\nHost: x\r\n\r\n");
  for (int turn = 0; turn < 5000; ++turn) shard.poll();
  EXPECT_GT(pieces_made, 1);
  EXPECT_LT(pieces_made, 1000);  // the server does not build all 270 MB in memory
  shard.advance(31s);
  for (int turn = 0; turn < 10; ++turn) shard.poll();
  EXPECT_EQ(server->connections(), 0u);
}

TEST_F(OperatorServerTest, EndsAScrapeThatIsNotReadToAdmitAnotherOne) {
  pieces_there = 10'000;
  listen({.address = "127.0.0.1:0", .scrapes_max = 1});
  OperatorClient stalled = connect();
  stalled.send("GET /pieces HTTP/1.1\r\nHost: x\r\n\r\n");
  for (int turn = 0; turn < 5000; ++turn) shard.poll();
  OperatorClient client = connect();
  EXPECT_EQ(client.get("/pieces").status, 503);
  EXPECT_EQ(client.get("/hello").status, 200);
  shard.clock().advance(1s);
  pieces_there = 1;
  client.send("GET /pieces HTTP/1.0\r\n\r\n");
  EXPECT_THAT(client.receive_all(), HasSubstr("200 OK"));
  EXPECT_EQ(server->connections(), 1u);  // the client's connection: the server waits for its end
}

TEST_F(OperatorServerTest, CutsAnAnswerWhosePieceCannotBeMade) {
  listen();
  OperatorClient client = connect();
  client.send("GET /bug-in-pieces HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(client.receive_all(), Not(HasSubstr("secret")));
  EXPECT_EQ(server->connections(), 0u);
  EXPECT_EQ(connect().get("/hello").status, 200);
}

}  // namespace
}  // namespace router::admin
