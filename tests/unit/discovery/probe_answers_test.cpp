#include <gtest/gtest.h>
#include <sys/uio.h>

#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "router/discovery/probe.h"
#include "tests/support/certificates.h"
#include "tests/unit/discovery/probe_world.h"
#include "tls/stream.h"

/// What a probe takes an answer for, and what it says of a failure.
namespace router::discovery {
namespace {

TEST_F(Probe, TakesEveryStatusFrom200To399ForReady) {
  for (const auto& [status, ready] :
       std::vector<std::pair<int, bool>>{{101, false}, {200, true}, {204, true}, {399, true}, {400, false}, {500, false}}) {
    const auto cancellation = runtime::CancelSource::make(shard);
    auto asking = shard.start(ask_for_readiness(*cancellation, target, kNever));
    answer("HTTP/1.1 " + std::to_string(status) + " Whatever\r\n\r\n");
    EXPECT_EQ(asking.get().readiness, ready ? Readiness::kReady : Readiness::kNotReady) << status;
  }
}

TEST_F(Probe, TookAnInterimAnswerForItsVerdict) {
  const std::string hints = "HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n";
  std::string eight;
  for (int times = 0; times < 8; ++times) eight += hints;
  for (const auto& [text, expected] :
       std::vector<std::pair<std::string, Readiness>>{{"HTTP/1.1 100 Continue\r\n\r\n" + hints + kOk, Readiness::kReady},
                                                      {hints + kUnavailable, Readiness::kNotReady},
                                                      {eight + kOk, Readiness::kReady},
                                                      {eight + hints + kOk, Readiness::kUnreachable}}) {
    const auto cancellation = runtime::CancelSource::make(shard);
    auto asking = shard.start(ask_for_readiness(*cancellation, target, kNever));
    answer(text);
    EXPECT_EQ(asking.get().readiness, expected) << text;
  }
  start();
  const Descriptor connection = next_question();
  connection.send(hints);
  shard.poll();
  EXPECT_FALSE(connection.at_end());
  shard.advance(seconds(2));
  EXPECT_EQ(why, std::vector<std::string>{"no answer in 2 s"}) << "one timeout covers all of them";
}

TEST_F(Probe, TakesAnAnswerInPiecesAndIgnoresItsBody) {
  start();
  const Descriptor connection = next_question();
  for (const char* piece : {"HTTP/1.0 2", "00 OK\r\nX: ", "y\r\n\r", "\n"}) {
    EXPECT_TRUE(told.empty());
    connection.send(piece);
    shard.poll();
  }
  EXPECT_TRUE(turn_until(shard, [&] { return !told.empty(); }));
}

TEST_F(Probe, TakesGarbageAndABrokenConnectionForNotReady) {
  for (const char* text : {"", "220 mail.example ESMTP\r\n\r\n", "HTTP/1.1 200"}) {
    const auto cancellation = runtime::CancelSource::make(shard);
    auto asking = shard.start(ask_for_readiness(*cancellation, target, kNever));
    Descriptor connection = next_question();
    connection.send(text);
    connection.close();
    ASSERT_TRUE(turn_until(shard, [&] { return asking.done(); }));
    EXPECT_EQ(asking.get().readiness, Readiness::kUnreachable) << text;
  }
  pod.close();
  const auto cancellation = runtime::CancelSource::make(shard);
  EXPECT_EQ(shard.run(ask_for_readiness(*cancellation, target, kNever)).readiness, Readiness::kUnreachable);
}

TEST_F(Probe, DidNotSayWhyAReplicaWasNotReady) {
  const auto ask = [this] {
    const auto cancellation = runtime::CancelSource::make(shard);
    return shard.run(ask_for_readiness(*cancellation, target, kNever));
  };
  target.route.path = "/rea\"dy?token=secret";
  for (const auto& [answer_text, expected] : std::vector<std::pair<const char*, const char*>>{
           {"HTTP/1.1 404 Not Found\r\n\r\n", "404 from GET /rea?dy"},
           {"220 mail.example ESMTP\r\n\r\n", "the answer to GET /rea?dy is not HTTP"},
           {"", "the connection ended without an answer to GET /rea?dy"}}) {
    const auto cancellation = runtime::CancelSource::make(shard);
    auto asking = shard.start(ask_for_readiness(*cancellation, target, kNever));
    Descriptor connection = next_question();
    connection.send(answer_text);
    connection.close();
    ASSERT_TRUE(turn_until(shard, [&] { return asking.done(); }));
    EXPECT_EQ(asking.peek().why, expected);
    EXPECT_TRUE(asking.peek().connected);
  }
  start();
  const Descriptor silent = next_question();
  shard.advance(seconds(2));
  EXPECT_EQ(why, std::vector<std::string>{"no answer in 2 s"});
  pod.close();
  const ProbeAnswer refused = ask();
  EXPECT_EQ(refused.why, "connection refused");
  EXPECT_FALSE(refused.connected);
}

TEST_F(Probe, AsksOverTls) {
  test::TestAuthority authority;
  test::CertificateRequest request;
  request.names = {"pod.example"};
  const test::CertificatePaths paths = authority.issue(request);
  tls::ServerOptions server;
  server.certificates = {{paths.certificate_file, paths.key_file, ""}};
  const auto keys = tls::TicketKeys::make({});
  const auto servers = tls::ServerContext::make(server, *keys, 1);
  ASSERT_TRUE(servers.ok()) << servers.status();
  tls::ClientOptions client;
  client.ca_file = authority.ca_file();
  const auto clients = tls::ClientContext::make(client, 1);
  ASSERT_TRUE(clients.ok()) << clients.status();
  target.tls = clients->front();

  for (const bool right_name : {true, false}) {
    target.server_name = right_name ? "pod.example" : "other.example";
    const auto cancellation = runtime::CancelSource::make(shard);
    auto asking = shard.start(ask_for_readiness(*cancellation, target, kNever));
    Descriptor accepted;
    ASSERT_TRUE(turn_until(shard, [&] { return static_cast<bool>(accepted = pod.accept()); }));
    tls::Stream stream(runtime::Socket(shard, accepted.release()), *servers->front());
    bool answered = false;
    ASSERT_TRUE(turn_until(shard, [&] {
      char bytes[2048];
      if (stream.handshake().state == runtime::IoState::kDone && !answered && stream.read(bytes).moved()) {
        const iovec piece{const_cast<char*>(kOk), std::strlen(kOk)};
        stream.write(std::span(&piece, 1));
        answered = true;
      }
      return asking.done();
    }));
    EXPECT_EQ(asking.get().readiness, right_name ? Readiness::kReady : Readiness::kUnreachable);
  }
}

/// A pod speaks plain HTTP where the router expects https.
TEST_F(Probe, DidNotSayThatAReplicaDoesNotSpeakTls) {
  const auto clients = tls::ClientContext::make({}, 1);
  ASSERT_TRUE(clients.ok()) << clients.status();
  target.tls = clients->front();
  target.server_name = "pod.example";
  const auto cancellation = runtime::CancelSource::make(shard);
  auto asking = shard.start(ask_for_readiness(*cancellation, target, kNever));
  Descriptor accepted;
  ASSERT_TRUE(turn_until(shard, [&] { return static_cast<bool>(accepted = pod.accept()); }));
  accepted.send("HTTP/1.1 400 Bad Request\r\n\r\n");
  ASSERT_TRUE(turn_until(shard, [&] { return asking.done(); }));
  EXPECT_EQ(asking.peek().why, "TLS: the peer does not speak TLS");
}

}  // namespace
}  // namespace router::discovery
