#include "router/upstream/exchange.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <memory>
#include <string>

#include "tests/support/wire.h"
#include "tests/unit/upstream/pod_world.h"

namespace router::upstream {
namespace {

using stream::Progress;
using test::Collected;

/// One exchange. The test gives the pod's answers.
class UpstreamExchangeTest : public ::testing::Test, protected PodWorld {
 protected:
  UpstreamExchangeTest() : request(send(here)), pod_end(accept(here)) { ask(*request, pod_end); }

  UpstreamExchange& exchange() { return *request->exchange; }
  Reason reason_of_head() {
    const Result<const http::ResponseHead*> head = next_head(*request);
    EXPECT_FALSE(head) << "a head";
    return head ? Reason::kNone : head.error().reason;
  }
  /// Answers, reads the answer and finishes. Returns whether the connection serves another request.
  bool is_kept_after(const std::string& answer) {
    take_answer(answer);
    request->end(Leaving::kReusable);
    EXPECT_EQ(slots_in_use(), 0u);
    auto next = send(here);
    here.advance(milliseconds(10));
    EXPECT_TRUE(test::turn_until(here, [&] { return next->open(); }));
    const bool kept = next->exchange->reused();
    EXPECT_EQ(kept, !pod_end.at_end());
    return kept;
  }
  void take_answer(const std::string& answer) {
    pod_end.send(answer);
    ASSERT_TRUE(next_head(*request));
    ASSERT_TRUE(read_body(*request, body));
  }
  void reset_by_pod() {
    const linger now{1, 0};
    ::setsockopt(pod_end.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
    pod_end.close();
  }

  std::unique_ptr<Request> request;
  test::Descriptor pod_end;
  Collected body;
};

// --- the pod leaves ---

TEST_F(UpstreamExchangeTest, FailsWhenThePodLeavesBeforeAHead) {
  pod_end.close();
  EXPECT_EQ(reason_of_head(), Reason::kUpstreamReset);
  EXPECT_EQ(exchange().ended_unseen(), Unseen::kNo) << "on a new connection the pod may have acted";
}

TEST_F(UpstreamExchangeTest, FailsWhenThePodResetsBeforeAHead) {
  reset_by_pod();
  EXPECT_EQ(reason_of_head(), Reason::kUpstreamReset);
}

TEST_F(UpstreamExchangeTest, FailsWhenThePodLeavesInTheHead) {
  pod_end.send("HTTP/1.1 200 O");
  pod_end.close();
  EXPECT_EQ(reason_of_head(), Reason::kUpstreamReset);
}

TEST_F(UpstreamExchangeTest, FailsWhenThePodLeavesBehindAnInterimHead) {
  pod_end.send("HTTP/1.1 103 Hints\r\n\r\n");
  ASSERT_EQ((*next_head(*request))->status, 103);
  exchange().skip_interim();
  pod_end.close();
  EXPECT_EQ(reason_of_head(), Reason::kUpstreamReset);
}

TEST_F(UpstreamExchangeTest, FailsWhenThePodLeavesInABodyOfALength) {
  pod_end.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab");
  ASSERT_TRUE(next_head(*request));
  pod_end.close();
  EXPECT_EQ(read_body(*request, body).error().reason, Reason::kUpstreamReset);
  EXPECT_EQ(body.body, "ab");
}

TEST_F(UpstreamExchangeTest, FailsWhenThePodLeavesInAChunkedBody) {
  pod_end.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n");
  ASSERT_TRUE(next_head(*request));
  pod_end.close();
  EXPECT_EQ(read_body(*request, body).error().reason, Reason::kUpstreamReset);
}

TEST_F(UpstreamExchangeTest, EndsWithTheConnectionWhereNothingElseSaysWhere) {
  pod_end.send("HTTP/1.1 200 OK\r\n\r\nab");
  ASSERT_TRUE(next_head(*request));
  EXPECT_EQ(exchange().leaving(), Leaving::kReusable) << "the end of the connection is the end of the body";
  pod_end.close();
  EXPECT_EQ(*read_body(*request, body), Progress::kEnded);
  EXPECT_EQ(body.body, "ab");
  request->end(Leaving::kReusable);
  EXPECT_EQ(slots_in_use(), 0u);
}

TEST_F(UpstreamExchangeTest, FailsWhenABodyThatEndsWithTheConnectionIsReset) {
  pod_end.send("HTTP/1.1 200 OK\r\n\r\nab");
  ASSERT_TRUE(next_head(*request));
  test::turn_until(here, [&] { return *exchange().read_body(body) == Progress::kBlocked; });
  reset_by_pod();
  EXPECT_EQ(read_body(*request, body).error().reason, Reason::kUpstreamReset);
}

TEST_F(UpstreamExchangeTest, HasItsAnswerWhenThePodLeavesBehindIt) {
  pod_end.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab");
  pod_end.close();
  ASSERT_TRUE(next_head(*request));
  EXPECT_EQ(*read_body(*request, body), Progress::kEnded);
  request->end(Leaving::kReusable);
  EXPECT_EQ(slots_in_use(), 0u);
  auto next = send(here);
  const test::Descriptor second = accept(here);
  answer(*next, second);
}

// --- keeping and closing ---

TEST_F(UpstreamExchangeTest, KeepsTheConnection) {
  EXPECT_TRUE(is_kept_after("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab"));
}

TEST_F(UpstreamExchangeTest, KeepsTheConnectionBehindTheLastChunk) {
  EXPECT_TRUE(is_kept_after("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"));
}

TEST_F(UpstreamExchangeTest, KeepsTheConnectionBehindAnAnswerWithoutBody) {
  EXPECT_TRUE(is_kept_after("HTTP/1.1 204 No Content\r\n\r\n"));
}

TEST_F(UpstreamExchangeTest, KeepsTheConnectionOfAnOldServerThatSaysSo) {
  EXPECT_TRUE(is_kept_after("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n"));
}

TEST_F(UpstreamExchangeTest, ClosesTheConnectionOfAnOldServer) {
  EXPECT_FALSE(is_kept_after("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"));
}

TEST_F(UpstreamExchangeTest, ClosesTheConnectionThatThePodAnnouncesToClose) {
  EXPECT_FALSE(is_kept_after("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"));
}

TEST_F(UpstreamExchangeTest, SaysThatAPodCloses) {
  take_answer("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(exchange().leaving(), Leaving::kClose);
}

TEST_F(UpstreamExchangeTest, GivesAConnectionWithBytesBehindTheAnswerToNobody) {
  take_answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabHTTP/1.1 200 Forged\r\n\r\n");
  request->end(Leaving::kReusable);
  EXPECT_TRUE(test::turn_until(here, [&] { return pod_end.at_end(); }));
  auto next = send(here);
  here.poll();
  EXPECT_FALSE(next->open());
  EXPECT_TRUE(nobody_connects()) << "the router opened a second connection to the pod";
  pod_end.close();
  const test::Descriptor second = accept(here);
  answer(*next, second);
}

TEST_F(UpstreamExchangeTest, CountsAnAnswerThatEnded) {
  EXPECT_EQ(replica->exchanges_finished(), 0u);
  take_answer("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n");
  request->end(Leaving::kReusable);
  EXPECT_EQ(replica->exchanges_finished(), 1u);
}

// --- giving up ---

TEST_F(UpstreamExchangeTest, HoldsItsSlotUntilItIsClosedWhateverThePodHasSeen) {
  exchange().leave(Leaving::kClose);
  EXPECT_TRUE(test::turn_until(here, [&] { return pod_end.at_end(); })) << "the router has shut its side down";
  EXPECT_EQ(exchange().leave(Leaving::kClose), Progress::kBlocked);
  EXPECT_EQ(slots_in_use(), 1u);
  pod_end.send("late");
  EXPECT_TRUE(test::turn_until(here, [&] { return exchange().leave(Leaving::kClose) == Progress::kBlocked; })) << "dropped";
  pod_end.close();
  EXPECT_TRUE(test::turn_until(here, [&] { return exchange().leave(Leaving::kClose) == Progress::kEnded; }));
  EXPECT_EQ(slots_in_use(), 1u);
  request->end(Leaving::kReset);
  EXPECT_EQ(slots_in_use(), 0u);
}

TEST_F(UpstreamExchangeTest, EndsItsConnectionWhenItIsDestroyed) {
  request->exchange.reset();
  EXPECT_EQ(slots_in_use(), 1u) << "the slot belongs to the caller";
  request->held_slot.give_back();
  EXPECT_TRUE(test::turn_until(here, [&] { return pod_end.at_end(); }));
  auto next = send(here);
  const test::Descriptor second = accept(here);
  answer(*next, second);
}

TEST_F(UpstreamExchangeTest, LeavesItsSlotWithoutTheConnection) {
  EXPECT_EQ(exchange().leave(Leaving::kReset), Progress::kEnded);
  EXPECT_TRUE(test::turn_until(here, [&] { return pod_end.at_end(); }));
  EXPECT_EQ(slots_in_use(), 1u);
  request->exchange.reset();
  EXPECT_EQ(slots_in_use(), 1u) << "the slot belongs to the caller";
  request->held_slot.give_back();
  EXPECT_EQ(slots_in_use(), 0u);
}

TEST_F(UpstreamExchangeTest, SendsNothingMoreOnceItIsGivenUp) {
  exchange().field("X-Late", "1");
  exchange().leave(Leaving::kClose);
  EXPECT_TRUE(exchange().flush());
  EXPECT_TRUE(test::turn_until(here, [&] { return pod_end.at_end(); }));
  EXPECT_EQ(pod_end.received(), "");
}

// --- what the pod may not say ---

TEST_F(UpstreamExchangeTest, RefusesAProtocolThatNobodyAskedFor) {
  pod_end.send("HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n");
  EXPECT_EQ(reason_of_head(), Reason::kUpstreamInvalidResponse);
}

TEST_F(UpstreamExchangeTest, RefusesWhatIsNoHttp) {
  pod_end.send("SSH-2.0-OpenSSH_9.2\r\n\r\n");
  EXPECT_EQ(reason_of_head(), Reason::kUpstreamInvalidResponse);
}

TEST_F(UpstreamExchangeTest, RefusesAHeadOfMoreThan64KB) {
  pod_end.send("HTTP/1.1 200 OK\r\nX: " + std::string(64 * 1024, 'x'));
  EXPECT_EQ(reason_of_head(), Reason::kUpstreamInvalidResponse);
}

// --- a request that may be sent again (contract, section 6) ---

/// The connection of the exchange has served a request before.
class SecondExchangeTest : public UpstreamExchangeTest {
 protected:
  void ask_again(http::Method method) {
    take_answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    request->end(Leaving::kReusable);
    options.method = method;
    request = send(here);
    here.advance(milliseconds(10));
    ask(*request, pod_end);
  }
};

TEST_F(UpstreamExchangeTest, OfAGetOnANewConnectionIsNotSentAgain) {
  request->end(Leaving::kReset);
  options.method = http::Method::kGet;
  request = send(here);
  pod_end = accept(here);
  ask(*request, pod_end);
  pod_end.close();
  EXPECT_EQ(reason_of_head(), Reason::kUpstreamReset);
  EXPECT_EQ(exchange().ended_unseen(), Unseen::kNo);
}

TEST_F(SecondExchangeTest, OfAPostIsNotSentAgainWithoutProof) {
  ask_again(http::Method::kPost);
  pod_end.close();
  EXPECT_EQ(reason_of_head(), Reason::kUpstreamReset);
  EXPECT_EQ(exchange().ended_unseen(), Unseen::kNo) << "the pod has read it";
}

TEST_F(SecondExchangeTest, OfAGetIsSentAgainWithoutProof) {
  ask_again(http::Method::kGet);
  pod_end.close();
  EXPECT_EQ(reason_of_head(), Reason::kUpstreamReset);
  EXPECT_EQ(exchange().ended_unseen(), Unseen::kAssumed);
}

TEST_F(SecondExchangeTest, IsNotSentAgainOnceAPartOfTheHeadHasCome) {
  ask_again(http::Method::kGet);
  pod_end.send("H");
  pod_end.close();
  EXPECT_EQ(reason_of_head(), Reason::kUpstreamReset);
  EXPECT_EQ(exchange().ended_unseen(), Unseen::kNo);
}

TEST_F(SecondExchangeTest, IsNotSentAgainOnceAnInterimHeadHasCome) {
  ask_again(http::Method::kHead);
  pod_end.send("HTTP/1.1 103 Hints\r\n\r\n");
  ASSERT_TRUE(next_head(*request));
  exchange().skip_interim();
  pod_end.close();
  EXPECT_EQ(reason_of_head(), Reason::kUpstreamReset);
  EXPECT_EQ(exchange().ended_unseen(), Unseen::kNo);
}

TEST_F(SecondExchangeTest, IsProvedUnseenIfThePodHadEndedBeforeItCame) {
  take_answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  request->end(Leaving::kReusable);
  options.method = http::Method::kPost;
  request = send(here);
  here.advance(milliseconds(10));
  ASSERT_TRUE(request->open());
  ::shutdown(pod_end.get(), SHUT_RDWR);  // between the router's last look and the request
  EXPECT_EQ(reason_of_head(), Reason::kUpstreamReset);
  EXPECT_EQ(exchange().ended_unseen(), Unseen::kProved);
}

TEST_F(SecondExchangeTest, ThatBreaksTellsThatItsReplicaClosesSilently) {
  for (int times = 0; times < ClosingHabit::kEnds; ++times) {
    ask_again(http::Method::kPost);
    pod_end.close();
    EXPECT_EQ(reason_of_head(), Reason::kUpstreamReset);
    EXPECT_EQ(reason_of_head(), Reason::kUpstreamReset) << "two calls count one end";
    EXPECT_EQ(replica->habits()->closes(here.now()), times + 1 == ClosingHabit::kEnds);
    request->end(Leaving::kReset);
    here.advance(milliseconds(1));
    request = send(here);
    pod_end = accept(here);
    ask(*request, pod_end);
  }
}

}  // namespace
}  // namespace router::upstream
