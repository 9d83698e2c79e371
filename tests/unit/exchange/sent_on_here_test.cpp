#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "router/runtime/socket.h"
#include "tests/support/loopback.h"
#include "tests/unit/exchange/exchange_world.h"

/// Requests that another router of the fleet has sent on, from the side of the home: the other router is a socket that the test
/// reads and writes (docs/decisions/0072-requests-sent-on.md).
namespace router::test {
namespace {

using dispatch::NamespaceHome;

constexpr const char* kId = "8f14e45f-ceea-467f-a8d5-0123456789ab";
constexpr const char* kParts = "\t10.1.1.1, 10.1.1.2\t\toutside.example:8443\t1.1 fleet\t8f14e45f-ceea-467f-a8d5-0123456789ab";

class SentOnHere : public ExchangeTest {
 protected:
  SentOnHere() {
    home_->set(NamespaceHome::kHere);
    world.blue.home = home_;
    auto peers = std::make_shared<upstream::Peers>();
    peers->self = "self";
    peers->members.push_back(std::make_shared<upstream::Peer>(
        upstream::PeerOptions{
            .member = "b", .address = *runtime::Address::parse("127.0.0.1", 1), .host = {}, .transport = nullptr},
        world.shard.clock()));
    world.peers = peers;
    world.publish(2);
    other_ = connect();
  }
  ~SentOnHere() override {
    other_.close();
    EXPECT_TRUE(turn_until(world.shard, [&] { return world.server.connections() == 0; })) << "a connection is left";
  }

  Descriptor connect() {
    Descriptor far = connect_to(listener_.address());
    Descriptor near;
    turn_until(world.shard, [&] { return static_cast<bool>(near = listener_.accept()); });
    world.server.serve_member(runtime::Socket(world.shard, near.release()), nullptr);
    return far;
  }
  /// Another connection that takes nothing more: the kernel holds as many bytes as it takes. Returns their number. A pair of
  /// Unix sockets, where that is exact.
  std::size_t clog() {
    std::array<int, 2> ends{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()), 0);
    other_ = Descriptor(ends[0]);
    const std::string junk(4096, 'j');
    std::size_t sent = 0;
    for (ssize_t took; (took = ::send(ends[1], junk.data(), junk.size(), MSG_NOSIGNAL)) > 0;)
      sent += static_cast<std::size_t>(took);
    world.server.serve_member(runtime::Socket(world.shard, ends[1]), nullptr);
    return sent;
  }
  /// `facts`: the words of the fleet's field; `parts`: what follows them.
  static std::string head_with(const std::string& facts, const std::string& fields = "", const std::string& parts = kParts) {
    return "POST /v1/thing?q=1 HTTP/1.1\r\nHost: outside.example\r\nX-Custom: 1\r\nVia: 1.0 before\r\n" + fields +
           "x-ir: " + facts + parts + "\r\n\r\n";
  }
  std::string head(const std::string& fields, const std::string& deployment = "/iris/blue", const char* age = "0") const {
    return head_with(to_ + " " + age + " " + left_ + " 7 " + copy_ + " " + deployment, fields);
  }
  void ask(const std::string& fields = "", std::string_view body = "") {
    other_.send(head(fields).append(body));
    wait_for_pod(1);
  }
  void wait_for_pod(std::size_t connections) {
    EXPECT_TRUE(turn_until(world.shard, [&] { return world.pods.connections.size() >= connections && !pod().path.empty(); }));
  }
  /// What has come by the time that `end` is in it.
  std::string hear(std::string_view end) {
    std::string heard;
    EXPECT_TRUE(turn_until(world.shard, [&] { return (heard += other_.received()).find(end) != std::string::npos; })) << heard;
    return heard;
  }
  static bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }
  bool has_reset(const Descriptor& far) {
    char byte;
    ssize_t got = 0;
    turn_until(world.shard, [&] {
      got = ::recv(far.get(), &byte, 1, MSG_DONTWAIT);
      return got == 0 || (got < 0 && errno != EAGAIN);
    });
    return got < 0 && errno == ECONNRESET;
  }

  std::shared_ptr<NamespaceHome> home_ = std::make_shared<NamespaceHome>();
  std::string to_ = "self";
  std::string left_ = "-";
  std::string copy_ = "-";
  LoopbackListener listener_;
  Descriptor other_;
};

TEST_F(SentOnHere, AreServedFromTheQueueOnAndSayFirstThatTheyBegin) {
  ask("Content-Length: 3\r\n", "abc");
  EXPECT_EQ(pod().path, "/v1/thing") << "as the other router has written it";
  EXPECT_EQ(pod().field("Host"), "outside.example");
  EXPECT_EQ(pod().field("X-Custom"), "1");
  EXPECT_EQ(pod().field("x-request-id"), kId);
  EXPECT_EQ(pod().field("X-Forwarded-For"), "10.1.1.1, 10.1.1.2") << "what the other router says, and no more";
  EXPECT_EQ(pod().field("X-Forwarded-Host"), "outside.example:8443");
  std::string via;
  for (const auto& [name, value] : pod().fields) {
    EXPECT_NE(name, "X-Forwarded-Proto") << "an empty part is no field";
    if (name == "Via") via.append(value).append("; ");
  }
  EXPECT_EQ(via, "1.0 before; 1.1 fleet; ") << "in order";
  for (const auto& [name, value] : pod().fields) EXPECT_FALSE(has(name, "x-ir")) << name;
  EXPECT_EQ(pod().body, "abc");
  EXPECT_EQ(world.slots_in_use(), 1u);
  EXPECT_EQ(hear("\r\n\r\n"), "HTTP/1.1 199 Begins\r\nx-ir: 0 a\r\n\r\n");
  pod().answer(503, "busy", {{"x-fine", "1"}, {"x-ir-reason", "queue_full"}, {"x-ir", "0 b"}});
  const std::string answer = hear("0\r\n\r\n");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 503 ")) << answer;
  EXPECT_TRUE(has(answer, "x-fine: 1\r\n") && has(answer, "busy"));
  EXPECT_FALSE(has(answer, "x-ir")) << "a pod cannot speak for a router";
  EXPECT_FALSE(has(answer, "x-request-id")) << "the other router writes it";
  EXPECT_EQ(world.slots_in_use(), 0u);
  EXPECT_EQ(world.told(), 0u) << "the other router counts it";
}

TEST_F(SentOnHere, OneConnectionCarriesMany) {
  for (std::size_t times = 1; times <= 3; ++times) {
    other_.send(head(""));
    wait_for_pod(times);
    pod().answer(200, "fine");
    hear("0\r\n\r\n");
  }
  EXPECT_EQ(world.pods.connections.size(), 3u);
}

TEST_F(SentOnHere, ThePodGetsNothingBeforeTheOtherRouterIsTold) {
  const std::size_t sent = clog();
  other_.send(head(""));
  EXPECT_TRUE(turn_until(world.shard, [&] { return world.slots_in_use() == 1; }));
  for (int turns = 0; turns < 50; ++turns) world.poll();
  ASSERT_EQ(world.pods.connections.size(), 1u);
  EXPECT_TRUE(pod().path.empty()) << "the interim answer has not reached the kernel";
  std::size_t read = 0;
  EXPECT_TRUE(turn_until(world.shard, [&] { return (read += other_.received().size()) > sent && !pod().path.empty(); }));
  pod().answer(200);
}

TEST_F(SentOnHere, AnotherRouterThatTakesNothingDoesNotHoldTheSlotForEver) {
  clog();
  other_.send(head(""));
  EXPECT_TRUE(turn_until(world.shard, [&] { return world.slots_in_use() == 1; }));
  world.advance(world.blue.request_timeout);
  pod().close();
  world.advance(world.blue.abort_wait);
  EXPECT_EQ(world.slots_in_use(), 0u);
  EXPECT_TRUE(pod().path.empty());
  world.advance(1h);
}

TEST_F(SentOnHere, AnotherHomeIsNamed) {
  home_->set(0);
  other_.send(head(""));
  const std::string answer = hear("\r\n\r\n");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 421 ")) << answer;
  EXPECT_TRUE(has(answer, "x-ir-reason: home_moved\r\n") && has(answer, "x-ir-home: b\r\n"));
  EXPECT_TRUE(has(answer, "Content-Length: 0\r\n")) << answer;
}

TEST_F(SentOnHere, ARequestForTheRouterThatHadThisAddressIsNotKept) {
  world.occupy();
  to_ = "dead";
  other_.send(head(""));
  const std::string answer = hear("\r\n\r\n");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 421 ") && has(answer, "x-ir-home: self\r\n")) << answer;
  EXPECT_EQ(world.waiting(), 0u);
}

TEST_F(SentOnHere, ACopyTakesAnIdleSlotOrNone) {
  copy_ = "copy";
  other_.send(head(""));
  wait_for_pod(1);
  const Descriptor another = connect();
  another.send(head(""));
  std::string answer;
  EXPECT_TRUE(turn_until(world.shard, [&] { return has(answer += another.received(), "\r\n\r\n"); }));
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 503 ") && has(answer, "x-ir-reason: queue_full\r\n")) << answer;
  EXPECT_EQ(world.waiting(), 0u);
  pod().answer(200);
  EXPECT_TRUE(has(hear("HTTP/1.1 200 "), " 199 "));
}

TEST_F(SentOnHere, AHomeThatIsNotKnownIsNotNamed) {
  home_->set(NamespaceHome::kNobody);
  other_.send(head(""));
  const std::string answer = hear("\r\n\r\n");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 421 ")) << answer;
  EXPECT_FALSE(has(answer, "x-ir-home"));
}

TEST_F(SentOnHere, ADeploymentThatIsNotKnownIsSaidToBeSo) {
  for (const char* unknown : {"/iris/green", "/rose/blue", "team/iris/blue"}) {
    other_.send(head("", unknown));
    const std::string answer = hear("\r\n\r\n");
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 404 ") && has(answer, "x-ir-reason: deployment_not_found\r\n")) << answer;
  }
}

TEST_F(SentOnHere, FactsWithOtherWordsOrPartsAreRefused) {
  const std::string good = "self 0 - 7 - /iris/blue";
  for (const std::string& malformed : {std::string("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
                                       head_with(good, "x-ir: " + good + "\r\n"),
                                       head_with(""),
                                       head_with("self"),
                                       head_with("self 0 - 7 -"),
                                       head_with("0 - 7 - /iris/blue"),
                                       head_with("self  0 - 7 - /iris/blue"),
                                       head_with(good + " more"),
                                       head_with("self 0 - 7 - iris/blue"),
                                       head_with("self 0 - 7 - /iris/blue/more"),
                                       head_with("self 0 - 7 - /iris/"),
                                       head_with("self 0 - 7 - //blue"),
                                       head_with("self -1 - 7 - /iris/blue"),
                                       head_with("self +1 - 7 - /iris/blue"),
                                       head_with("self 1x - 7 - /iris/blue"),
                                       head_with("self - - 7 - /iris/blue"),
                                       head_with("self 86400000001 - 7 - /iris/blue"),
                                       head_with("self 99999999999999999999 - 7 - /iris/blue"),
                                       head_with("self 0 1.5 7 - /iris/blue"),
                                       head_with("self 0 4294967296 7 - /iris/blue"),
                                       head_with("self 0 -- 7 - /iris/blue"),
                                       head_with("self 0 - - - /iris/blue"),
                                       head_with("self 0 - 9223372036854775808 - /iris/blue"),
                                       head_with("self 0 - 7 1 /iris/blue"),
                                       head_with("self 0 - 7 Copy /iris/blue"),
                                       head_with(good, "", ""),
                                       head_with(good, "", std::string("\t") + kId),
                                       head_with(good, "", "\ta\tb\tc\td\tnot-a-uuid"),
                                       head_with(good, "", "\ta\tb\tc\td\t"),
                                       head_with(good, "", std::string(kParts) + "\tmore"),
                                       head_with(good, "", std::string("\ta\tb\tc\td\te\t") + kId)}) {
    other_.send(malformed);
    const std::string answer = hear("\r\n\r\n");
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 400 ") && has(answer, "x-ir-reason: bad_request\r\n")) << malformed << answer;
  }
  EXPECT_EQ(world.pods.tried.size(), 0u);
  other_.send(head_with(good, "", std::string("\t\t\t\t\t") + kId));
  wait_for_pod(1);
  pod().answer(200);
}

TEST_F(SentOnHere, AHeadThatIsNotHttpEndsTheConnection) {
  other_.send("nonsense\r\n\r\n");
  EXPECT_TRUE(has(hear("\r\n\r\n"), "x-ir-reason: bad_request\r\n"));
  EXPECT_TRUE(turn_until(world.shard, [&] { return other_.at_end(); }));
}

TEST_F(SentOnHere, TheTimeAtTheOtherRouterCounts) {
  world.occupy();
  other_.send(head("", "/iris/blue", "400000"));
  EXPECT_TRUE(turn_until(world.shard, [&] { return world.waiting() == 1; }));
  world.advance(99ms);
  EXPECT_EQ(world.waiting(), 1u);
  world.advance(1ms);
  const std::string answer = hear("\r\n\r\n");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 503 ") && has(answer, "x-ir-reason: queue_timeout\r\n")) << answer;
  EXPECT_TRUE(has(answer, "x-ir-message: no slot became free within max_queue_wait_ms\r\n")) << answer;
  EXPECT_TRUE(has(answer, "Retry-After: "));
  EXPECT_FALSE(has(answer, " 199 ")) << "no pod has seen it";
}

TEST_F(SentOnHere, TheTimeInTheQueueIsTold) {
  Asking& first = world.occupy();
  other_.send(head("", "/iris/blue", "100000"));
  EXPECT_TRUE(turn_until(world.shard, [&] { return world.waiting() == 1; }));
  world.advance(50ms);
  pod().answer(200);
  EXPECT_TRUE(first.over);
  EXPECT_TRUE(has(hear("\r\n\r\n"), "x-ir: 150000 a\r\n"));
  pod().answer(200);
}

TEST_F(SentOnHere, TheClientsDeadlineIsWhatTheOtherRouterSays) {
  left_ = "1500";
  ask("x-request-deadline-ms: 9999\r\n");
  EXPECT_EQ(pod().field("x-request-deadline-ms"), "1500");
  world.advance(1500ms);
  EXPECT_TRUE(has(hear("upstream_timeout"), "HTTP/1.1 504 "));
  pod().close();
}

TEST_F(SentOnHere, AnotherRouterThatClosesIsAClientThatLeaves) {
  ask();
  other_.close();
  EXPECT_TRUE(turn_until(world.shard, [&] { return pod().closing; }));
  EXPECT_TRUE(turn_until(world.shard, [&] { return world.slots_in_use() == 0; }));
}

TEST_F(SentOnHere, WhatAPodDoesCountsHereAndTheRequestWhereItsClientIs) {
  world.pods.plan_connection()->deaf = true;
  ask();
  other_.close();
  EXPECT_TRUE(turn_until(world.shard, [&] { return pod().closing; }));
  world.advance(250ms);
  EXPECT_TRUE(turn_until(world.shard, [&] { return world.slots_in_use() == 0; }));
  EXPECT_TRUE(turn_until(world.shard, [&] { return world.cells().aborts_unnoticed() == 1; }));
  world.cells().requests(Reason::kClientClosed).each([](int status, std::uint64_t) { ADD_FAILURE() << status; });
  EXPECT_EQ(world.cells().duration().sum_nanoseconds(), 0u);
}

TEST_F(SentOnHere, AnotherRouterThatClosesGivesItsPlaceInTheQueueUp) {
  world.occupy();
  other_.send(head(""));
  EXPECT_TRUE(turn_until(world.shard, [&] { return world.waiting() == 1; }));
  other_.close();
  EXPECT_TRUE(turn_until(world.shard, [&] { return world.waiting() == 0; }));
}

TEST_F(SentOnHere, APodThatBreaksBeforeItsHeadIsTold) {
  ask();
  hear("\r\n\r\n");
  pod().breaks();
  pod().close();
  const std::string answer = hear("\r\n\r\n");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 502 ") && has(answer, "x-ir-reason: upstream_reset\r\n")) << answer;
}

TEST_F(SentOnHere, AnAnswerThatBreaksOffEndsWithAReset) {
  ask();
  pod().begin_answer(200);
  pod().send("half");
  hear("half");
  pod().breaks();
  pod().close();
  EXPECT_TRUE(has_reset(other_));
}

TEST_F(SentOnHere, ALargeBodyPassesInPieces) {
  ask("Content-Length: 300000\r\n");
  for (int pieces = 0; pieces < 3; ++pieces) {
    other_.send(std::string(100'000, 'x'));
    const std::size_t expected = 100'000 * static_cast<std::size_t>(pieces + 1);
    EXPECT_TRUE(turn_until(world.shard, [&] { return pod().body.size() == expected; })) << pod().body.size();
  }
  EXPECT_TRUE(pod().has_all);
  pod().answer(200);
  hear("0\r\n\r\n");
}

TEST_F(SentOnHere, AMemberThatIsSlowIsNotCut) {
  ask("Content-Length: 10\r\n");
  world.advance(50s);
  EXPECT_EQ(world.slots_in_use(), 1u) << "its client's pace is its own business; upload_timeout_ms ends it";
  other_.send("0123456789");
  EXPECT_TRUE(turn_until(world.shard, [&] { return pod().has_all; }));
  pod().answer(200);
  hear("0\r\n\r\n");
}

TEST_F(SentOnHere, AnotherRouterThatTakesNothingOfAnAnswerLosesTheSlotAfterFiveMinutes) {
  clog();
  other_.send(head(""));
  EXPECT_TRUE(turn_until(world.shard, [&] { return world.slots_in_use() == 1; }));
  turn_until(world.shard, [&] { return other_.received().empty() && !pod().path.empty(); });
  pod().begin_answer(200);
  for (int pieces = 0; pieces < 200; ++pieces) {
    pod().send(std::string(16384, 'x'));
    world.poll();
  }
  world.advance(299s);
  EXPECT_EQ(world.slots_in_use(), 1u) << "a slow client may need that long";
  world.advance(2s);
  EXPECT_EQ(world.slots_in_use(), 0u) << "it is frozen or lost";
}

TEST_F(SentOnHere, ADrainEndsIdleConnectionsInOrder) {
  ask();
  pod().answer(200);
  hear("0\r\n\r\n");
  world.server.begin_drain();
  world.server.close_idle();
  EXPECT_TRUE(turn_until(world.shard, [&] { return other_.at_end(); }));
  EXPECT_FALSE(has_reset(other_));
}

TEST_F(SentOnHere, ARequestThatMeetsTheEndOfItsConnectionGetsAFinAndNoReset) {
  ask();
  pod().answer(200);
  hear("0\r\n\r\n");
  world.server.close_idle();
  other_.send(head(""));
  EXPECT_TRUE(turn_until(world.shard, [&] { return other_.at_end(); }));
  EXPECT_FALSE(has_reset(other_));
}

TEST_F(SentOnHere, ADrainSendsWhatWaitsBackAndFinishesWhatRuns) {
  ask();
  PodConnection& running = pod();
  hear("\r\n\r\n");
  Descriptor another = connect();
  another.send(head(""));
  EXPECT_TRUE(turn_until(world.shard, [&] { return world.waiting() == 1; }));
  world.server.refuse_waiters();
  std::string heard;
  EXPECT_TRUE(turn_until(world.shard, [&] { return has(heard += another.received(), "\r\n\r\n"); }));
  EXPECT_TRUE(heard.starts_with("HTTP/1.1 421 ") && has(heard, "home_moved")) << heard;
  running.answer(200, "fine");
  hear("fine");
}

TEST_F(SentOnHere, AreHeldForTheRestOfTheirTimeAndCountedHereIfTheyAreRefused) {
  world.blue.hold = 120s;
  world.blue.queue->set_replicas({});
  world.blue.queue->set_waking(dispatch::Awakening{300s, world.shard.now()});
  world.publish(3);
  other_.send(head("", "/iris/blue", "20000000"));
  EXPECT_TRUE(turn_until(world.shard, [&] { return world.blue.queue->demand().waking == 1; }));
  world.advance(100s - 1ms);
  EXPECT_EQ(world.blue.queue->demand().waking, 1u);
  world.advance(1ms);
  const std::string answer = hear("\r\n\r\n");
  EXPECT_TRUE(has(answer, "x-ir-reason: no_ready_replica\r\n") && has(answer, "Retry-After: 200\r\n")) << answer;
  EXPECT_EQ(world.blue.metrics->offered(), (metrics::Offered{.refusals = 1, .told_seconds = 200}));
}

TEST_F(SentOnHere, TheBeginningOfADrainLeavesTheConnectionsOfMembers) {
  world.server.begin_drain();
  ask();
  pod().answer(200);
  EXPECT_FALSE(has(hear("0\r\n\r\n"), "Connection: close"));
}

}  // namespace
}  // namespace router::test
