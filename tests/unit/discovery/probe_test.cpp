#include "router/discovery/probe.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "router/dispatch/preemptible_slot.h"
#include "router/dispatch/request_queue.h"
#include "tests/support/certificates.h"
#include "tests/support/failing_memory.h"
#include "tests/support/loopback.h"
#include "tests/support/test_shard.h"
#include "tests/unit/dispatch/queue_world.h"
#include "tls/stream.h"

namespace router::discovery {
namespace {

using std::chrono::seconds;
using test::Descriptor;
using test::TestShard;
using test::turn_until;

constexpr const char* kOk = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
constexpr const char* kUnavailable = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";

class Probe : public ::testing::Test {
 protected:
  Probe() {
    target.host = "pod.example";
    target.address = pod.address();
    target.route.path = "/ready?deep=1";
    target.settings.initial_delay = seconds(0);
    target.settings.failure_threshold = 3;
  }
  ~Probe() override {
    prober.reset();
    shard.poll();
    EXPECT_EQ(group.running(), 0u) << "a probe outlives its prober";
  }
  void start() {
    prober = std::make_unique<ReplicaProber>(
        shard, group, target, [this](bool ready) { told.push_back(ready); },
        [this](const ProbeAnswer& answer) { why.push_back(answer.why); });
    shard.poll();
  }
  Descriptor next_question() {
    Descriptor connection;
    EXPECT_TRUE(turn_until(shard, [&] { return static_cast<bool>(connection = pod.accept()); }));
    std::string asked;
    EXPECT_TRUE(turn_until(shard, [&] { return (asked += connection.received()).ends_with("\r\n\r\n"); }));
    last_request = asked;
    return connection;
  }
  void answer(const std::string& text) {
    const Descriptor connection = next_question();
    connection.send(text);
    EXPECT_TRUE(turn_until(shard, [&] { return connection.at_end(); })) << "the prober closes its connection";
  }
  bool asks_now() {
    shard.poll();
    return static_cast<bool>(pod.accept());
  }

  TestShard shard;
  test::LoopbackListener pod;
  runtime::TaskGroup group{shard, 100};
  ProbeTarget target;
  std::vector<bool> told;
  std::vector<std::string> why;
  std::string last_request;
  std::unique_ptr<ReplicaProber> prober;
};

TEST_F(Probe, AsksAtOnceForTheReadinessRoute) {
  start();
  answer(kOk);
  EXPECT_EQ(told, std::vector{true});
  EXPECT_TRUE(last_request.starts_with(
      "GET /ready?deep=1 HTTP/1.1\r\nHost: pod.example:" + std::to_string(pod.address().port()) + "\r\n"))
      << last_request;
  EXPECT_NE(last_request.find("\r\nConnection: close\r\n"), std::string::npos);
}

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

TEST_F(Probe, GivesUpAtItsTimeout) {
  start();
  const Descriptor connection = next_question();
  shard.advance(seconds(2));
  EXPECT_TRUE(connection.at_end());
}

TEST_F(Probe, AsksEverySecondUntilReadyThenEveryPeriod) {
  start();
  answer(kUnavailable);
  EXPECT_FALSE(asks_now());
  shard.advance(seconds(1));
  answer(kOk);
  EXPECT_EQ(told, std::vector{true});
  shard.advance(seconds(9));
  EXPECT_FALSE(asks_now());
  shard.advance(seconds(1));
  EXPECT_TRUE(asks_now());
}

TEST_F(Probe, NeedsAsManySuccessesInARowAsConfigured) {
  target.settings.success_threshold = 2;
  start();
  for (const char* each : {kOk, kUnavailable, kOk}) {
    answer(each);
    shard.advance(seconds(1));
  }
  EXPECT_TRUE(told.empty());
  answer(kOk);
  EXPECT_EQ(told, std::vector{true});
}

TEST_F(Probe, TellsNotReadyAfterAsManyFailuresInARowAsConfigured) {
  start();
  answer(kOk);
  for (const char* each : {kUnavailable, kUnavailable, kOk, kUnavailable, kUnavailable}) {
    shard.advance(seconds(10));
    answer(each);
  }
  EXPECT_EQ(told, std::vector{true});
  shard.advance(seconds(10));
  answer(kUnavailable);
  EXPECT_EQ(told, (std::vector{true, false}));
  shard.advance(seconds(1));
  answer(kOk);
  EXPECT_EQ(told, (std::vector{true, false, true}));
}

TEST_F(Probe, TellsAFirstVerdictOfNotReadyToo) {  // an earlier prober may have found it ready
  start();
  for (int i = 0; i < 5; ++i) {
    answer(kUnavailable);
    shard.advance(seconds(1));
  }
  EXPECT_EQ(told, std::vector{false});
}

TEST_F(Probe, DoesNotCountFailuresWithinTheInitialDelay) {
  target.settings.initial_delay = seconds(10);
  start();
  for (int second = 0; second < 10; ++second) {
    answer(kUnavailable);
    shard.advance(seconds(1));
  }
  EXPECT_TRUE(told.empty());
  for (int i = 0; i < 2; ++i) {
    answer(kUnavailable);
    shard.advance(seconds(1));
  }
  EXPECT_TRUE(told.empty());
  answer(kUnavailable);
  EXPECT_EQ(told, std::vector{false});
}

TEST_F(Probe, DoesNotBlameAReplicaThatWasBusyScoring) {
  std::uint64_t finished = 0;
  target.settings.failure_threshold = 1;
  target.exchanges_finished = [&finished] { return finished; };
  start();
  answer(kOk);
  shard.advance(seconds(10));
  Descriptor hanging = next_question();
  ++finished;
  shard.advance(seconds(2));
  EXPECT_EQ(told, std::vector{true});
  shard.advance(seconds(10));
  hanging = next_question();
  shard.advance(seconds(2));
  EXPECT_EQ(told, (std::vector{true, false})) << "no exchange finished meanwhile, so the replica was not busy";
}

/// A replica with limited slots, of which the test may take one.
class ProbeOfALimitedReplica : public Probe {
 protected:
  ProbeOfALimitedReplica() {
    queue->set_replicas({replica});
    target.settings.failure_threshold = 1;
    target.slot = [this](std::shared_ptr<dispatch::PreemptibleHolder> holder) {
      return ProbeSlotOffer{dispatch::PreemptibleSlot::take(replica->pod(), 0, std::move(holder)), resting};
    };
  }
  /// A request waits and gets the slot.
  bool is_served(dispatch::Visitor& request) {
    return turn_until(shard, [&] {
      if (!request.entry.held_slot) request.entry.held_slot = std::move(*request.look());
      return static_cast<bool>(request.entry.held_slot);
    });
  }
  const std::shared_ptr<dispatch::RequestQueue> queue =
      std::make_shared<dispatch::RequestQueue>(dispatch::QueueOptions{}, shard.clock());
  const std::shared_ptr<dispatch::Replica> replica = std::make_shared<dispatch::Replica>("pod:5001", 1);
  bool resting = false;
};

TEST_F(ProbeOfALimitedReplica, WasAskedBesideARequestThatHeldItsOnlySlot) {
  dispatch::PreemptibleSlot busy = dispatch::PreemptibleSlot::take(replica->pod(), 0);
  start();
  EXPECT_FALSE(asks_now());
  for (int second = 0; second < 5; ++second) {
    shard.advance(seconds(1));
    EXPECT_FALSE(asks_now());
  }
  EXPECT_TRUE(told.empty() && why.empty()) << "the probe neither failed nor succeeded";
  busy.give_back();
  shard.advance(seconds(1));
  answer(kOk);
  shard.poll();
  EXPECT_EQ(told, std::vector{true});
  EXPECT_EQ(replica->pod()->in_use(), 0u);
  busy = dispatch::PreemptibleSlot::take(replica->pod(), 0);
  shard.advance(seconds(10));
  EXPECT_FALSE(asks_now());
  busy.give_back();
  shard.advance(seconds(1));
  EXPECT_TRUE(asks_now()) << "the probe is repeated soon, not a period later";
}

TEST_F(ProbeOfALimitedReplica, KeepsItsSlotUntilThePodHasClosedToo) {
  start();
  Descriptor connection = next_question();
  EXPECT_FALSE(dispatch::PreemptibleSlot::take(replica->pod(), 0)) << "a request has to wait until the probe ends";
  connection.send(kOk);
  EXPECT_TRUE(turn_until(shard, [&] { return connection.at_end(); }));
  EXPECT_EQ(replica->pod()->in_use(), 1u);
  connection.close();
  EXPECT_TRUE(turn_until(shard, [&] { return replica->pod()->in_use() == 0; }));
  EXPECT_EQ(told, std::vector{true});
  shard.advance(seconds(10));
  connection = next_question();
  connection.send(kOk);
  EXPECT_TRUE(turn_until(shard, [&] { return connection.at_end(); }));
  shard.advance(target.close_wait);
  EXPECT_EQ(replica->pod()->in_use(), 0u) << "the slot is freed after `close_wait`";
}

TEST_F(ProbeOfALimitedReplica, KeptTheSlotThatARequestWaitedFor) {
  queue->set_ready(replica, true);
  start();
  const Descriptor hangs = next_question();
  dispatch::Visitor request(*queue, shard);
  ASSERT_TRUE(request.waits());
  EXPECT_TRUE(is_served(request)) << "the request does not wait for the probe's timeout";
  char byte = 0;
  EXPECT_EQ(::recv(hangs.get(), &byte, 1, MSG_DONTWAIT), -1);
  EXPECT_EQ(errno, ECONNRESET) << "the probe's connection is reset";
  request.entry.held_slot.give_back();
  EXPECT_TRUE(told.empty() && why.empty()) << "the probe neither failed nor succeeded";
  EXPECT_FALSE(asks_now());
  shard.advance(seconds(1));
  answer(kOk);
  shard.poll();
  EXPECT_EQ(told, std::vector{true});
}

TEST_F(ProbeOfALimitedReplica, KeptTheSlotThatARequestWaitedForAfterItsAnswer) {
  queue->set_ready(replica, true);
  start();
  const Descriptor stays = next_question();
  stays.send(kOk);
  EXPECT_TRUE(turn_until(shard, [&] { return stays.at_end(); }));
  dispatch::Visitor request(*queue, shard);
  ASSERT_TRUE(request.waits());
  EXPECT_TRUE(is_served(request));
  EXPECT_EQ(told, std::vector{true}) << "an answer that has arrived counts";
}

TEST_F(ProbeOfALimitedReplica, MayEndWhileItIsToldThatARequestWaits) {
  queue->set_ready(replica, true);
  start();
  const Descriptor hangs = next_question();
  dispatch::Visitor request(*queue, shard);
  ASSERT_TRUE(request.waits());
  prober.reset();
  EXPECT_TRUE(is_served(request));
  shard.poll();
  EXPECT_EQ(group.running(), 0u);
}

TEST_F(ProbeOfALimitedReplica, WaitsForARestingConnectionToBeClosed) {
  dispatch::PreemptibleSlot rests = dispatch::PreemptibleSlot::take(replica->pod(), 0);
  resting = true;
  start();
  shard.advance(std::chrono::milliseconds(10));
  EXPECT_FALSE(asks_now());
  rests.give_back();
  shard.advance(std::chrono::milliseconds(10));
  answer(kOk);
  shard.poll();
  EXPECT_EQ(told, std::vector{true});
}

TEST_F(ProbeOfALimitedReplica, EndsWhileItWaitsForASlotAndWhileItHoldsOne) {
  dispatch::PreemptibleSlot rests = dispatch::PreemptibleSlot::take(replica->pod(), 0);
  resting = true;
  start();
  prober.reset();
  shard.poll();
  EXPECT_EQ(group.running(), 0u);
  rests.give_back();
  start();
  const Descriptor connection = next_question();
  prober.reset();
  shard.poll();
  EXPECT_EQ(replica->pod()->in_use(), 0u);
}

TEST_F(Probe, BlamesABusyReplicaThatSaysItIsNotReady) {
  std::uint64_t finished = 0;
  target.settings.failure_threshold = 1;
  target.exchanges_finished = [&finished] { return ++finished; };
  start();
  answer(kUnavailable);
  EXPECT_EQ(told, std::vector{false});
}

TEST_F(Probe, EndsWithItsProberAndAsksNothingOfItsOwnerAfterThat) {
  bool gone = false;
  target.exchanges_finished = [&gone] {
    EXPECT_FALSE(gone);
    return std::uint64_t{0};
  };
  start();
  const Descriptor connection = next_question();
  prober.reset();
  gone = true;
  connection.send(kOk);
  shard.poll();
  EXPECT_TRUE(connection.at_end());
  EXPECT_TRUE(told.empty());
  EXPECT_EQ(group.running(), 0u);
}

TEST_F(Probe, EndsWithItsProberBetweenQuestionsAndBeforeTheFirst) {
  start();
  answer(kOk);
  prober.reset();
  shard.poll();
  EXPECT_EQ(group.running(), 0u);
  prober = std::make_unique<ReplicaProber>(shard, group, target, [](bool) { FAIL(); });
  prober.reset();
  EXPECT_FALSE(asks_now());
}

TEST_F(Probe, KeepsToTheLimitOfQuestionsAtOnce) {
  target.limit = std::make_shared<ProbeLimit>(2);
  std::vector<std::unique_ptr<ReplicaProber>> probers;
  for (int i = 0; i < 5; ++i)
    probers.push_back(std::make_unique<ReplicaProber>(shard, group, target, [this](bool ready) { told.push_back(ready); }));
  shard.poll();
  EXPECT_EQ(target.limit->running(), 2u);
  EXPECT_EQ(target.limit->waiting(), 3u);
  probers[2].reset();  // the one that would run next
  shard.poll();
  EXPECT_EQ(target.limit->waiting(), 2u);
  for (int i = 0; i < 4; ++i) {
    answer(kOk);
    EXPECT_LE(target.limit->running(), 2u);
  }
  EXPECT_EQ(told.size(), 4u);
  EXPECT_EQ(target.limit->running(), 0u);
  probers.clear();
}

TEST_F(Probe, PassesOnATurnThatCameForOneWhoHasJustEnded) {
  target.limit = std::make_shared<ProbeLimit>(1);
  std::vector<std::unique_ptr<ReplicaProber>> probers;
  for (int i = 0; i < 3; ++i) probers.push_back(std::make_unique<ReplicaProber>(shard, group, target, [](bool) {}));
  shard.poll();
  probers[0].reset();
  probers[1].reset();
  shard.poll();
  Descriptor first = next_question();
  EXPECT_EQ(target.limit->running(), 1u);
  EXPECT_EQ(target.limit->waiting(), 0u);
  probers.clear();
  shard.poll();
  EXPECT_EQ(target.limit->running(), 0u);
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

TEST_F(Probe, BeginsAgainASecondLaterWhereItFoundNoMemory) {
  std::size_t served = 0;
  for (;; ++served) {
    prober = std::make_unique<ReplicaProber>(shard, group, target, [this](bool ready) { told.push_back(ready); });
    std::size_t failed = 0;
    {
      const test::FailingMemory failing(served, 1);
      shard.poll();
      failed = failing.failed();
    }
    if (failed == 0) break;
    while (pod.accept()) {
    }
    told.clear();
    shard.advance(seconds(1));
    answer(kOk);
    EXPECT_EQ(told, std::vector<bool>{true}) << served;
    prober.reset();
    shard.poll();
  }
  EXPECT_GE(served, 2u);
}

TEST_F(Probe, EndsWithoutMemory) {
  start();
  const Descriptor connection = next_question();
  const test::FailingMemory failing(0);
  prober.reset();
  shard.poll();
  EXPECT_EQ(group.running(), 0u);
}

TEST_F(Probe, GivesItsPermitToTheNextOneWithoutMemory) {
  target.limit = std::make_shared<ProbeLimit>(1);
  const ProbeLimit& limit = *target.limit;
  start();
  const Descriptor connection = next_question();
  auto second = std::make_unique<ReplicaProber>(shard, group, target, [](bool) {});
  shard.poll();
  ASSERT_EQ(limit.waiting(), 1u);
  {
    const test::FailingMemory failing(0, 1);  // the allocation for the second prober's request
    prober.reset();
    shard.poll();
  }
  EXPECT_EQ(limit.waiting(), 0u);
  while (pod.accept()) {
  }
  shard.advance(seconds(1));
  next_question();
  second.reset();
  shard.poll();
  EXPECT_EQ(limit.running(), 0u);
}

}  // namespace
}  // namespace router::discovery
