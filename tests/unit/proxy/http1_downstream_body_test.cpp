#include <sys/socket.h>

#include <cerrno>
#include <new>
#include <string>

#include "tests/support/failing_memory.h"
#include "tests/unit/proxy/http1_side.h"

namespace router::proxy {
namespace {

std::string length(std::size_t bytes) { return "Content-Length: " + std::to_string(bytes) + "\r\n"; }

// --- the request's body ---

TEST_F(Http1DownstreamTest, TellsHowLargeItsBodyIs) {
  take(request());
  EXPECT_EQ(downstream->request_size().kind, Size::Kind::kNone);
  use(std::make_unique<test::Wire>(shard));
  take(request(length(7)));
  EXPECT_EQ(downstream->request_size().kind, Size::Kind::kLength);
  EXPECT_EQ(downstream->request_size().length, 7u);
  use(std::make_unique<test::Wire>(shard));
  take(request("Transfer-Encoding: chunked\r\n"));
  EXPECT_EQ(downstream->request_size().kind, Size::Kind::kUnknown);
}

TEST_F(Http1DownstreamTest, TellsHowMuchOfItsBodyHasArrived) {
  take(request(length(4)) + "ab");
  EXPECT_EQ(downstream->body_arrived()->bytes, 2u);
  EXPECT_FALSE(downstream->body_arrived()->whole);
  EXPECT_TRUE(downstream->still_wanted());
  wire->far.send("cd");
  shard.poll();
  EXPECT_TRUE(downstream->still_wanted());
  EXPECT_EQ(downstream->body_arrived()->bytes, 4u);
  EXPECT_TRUE(downstream->body_arrived()->whole);
}

TEST_F(Http1DownstreamTest, RefusesABodyThatIsMalformedBeforeItIsRead) {
  take(request("Transfer-Encoding: chunked\r\n") + "zz\r\n");
  EXPECT_EQ(downstream->body_arrived().error().reason, Reason::kBadRequest);
}

TEST_F(Http1DownstreamTest, SendsNoContinueToAClientThatDoesNotWait) {
  take(request(length(3) + "Expect: 100-continue\r\n") + "a");
  send_continue();
  EXPECT_TRUE(answer({Size::Kind::kLength, 0}).starts_with("HTTP/1.1 200"));
}

TEST_F(Http1DownstreamTest, KeepsABodyOf64KBForASecondAttempt) {
  for (const std::size_t more : {0, 1}) {
    use(std::make_unique<test::Wire>(shard));
    const std::size_t size = http1::MessageInput::kReplayBytes + more;
    take(request(length(size)));
    downstream->keep_request();
    wire->far.send(std::string(size, 'x'));
    Collected body;
    while (!body.ended) ASSERT_TRUE(downstream->read_body(body));
    EXPECT_EQ(downstream->rewind_request(), more == 0);
  }
}

TEST_F(Http1DownstreamTest, CountsTheBodyAnewWhenItBeginsAgain) {
  take(request(length(3)) + "abc");
  downstream->keep_request();
  for (int attempt = 0; attempt < 2; ++attempt) {
    Collected body;
    EXPECT_EQ(*downstream->read_body(body), Progress::kEnded);
    EXPECT_EQ(body.body, "abc");
    EXPECT_EQ(downstream->request_bytes(), 3u);
    EXPECT_TRUE(downstream->rewind_request());
  }
}

// --- bodies that the router drops ---

TEST_F(Http1DownstreamTest, DropsABodyUntilTheNextRequestIsFoundBehindIt) {
  take(request(length(6)) + "ab");
  EXPECT_EQ(downstream->drop_request(), Progress::kBlocked) << "the caller arms the socket and calls it again";
  answer({Size::Kind::kLength, 0});
  wire->far.send("cdef" + request(length(0)));
  while (downstream->drop_request() != Progress::kEnded) {
  }
  EXPECT_TRUE(downstream->finish());
  EXPECT_TRUE(downstream->has_begun());
  EXPECT_EQ(*shard.run(downstream->next_head()), Next::kRequest);
}

TEST_F(Http1DownstreamTest, EndsWhereWhatIsDroppedIsMalformed) {
  take(request("Transfer-Encoding: chunked\r\n"));
  wire->far.send("zz\r\n");
  EXPECT_EQ(downstream->drop_request(), Progress::kEnded);
  EXPECT_NE(answer({Size::Kind::kLength, 0}).find("Connection: close"), std::string::npos);
}

TEST_F(Http1DownstreamTest, EndsWhenTheClientLeavesInABodyThatIsDropped) {
  take(request(length(6)) + "ab");
  answer({Size::Kind::kLength, 0});
  leave();
  while (downstream->drop_request() != Progress::kEnded) {
  }
  EXPECT_FALSE(downstream->finish());
}

TEST_F(Http1DownstreamTest, DropsNothingOnceItHasSaidThatItEnds) {
  take(request(length(6)) + "ab");
  downstream->leave(stream::Leaving::kClose);
  EXPECT_EQ(downstream->drop_request(), Progress::kEnded);
  EXPECT_EQ(downstream->request_bytes(), 0u);
}

// --- the answer ---

TEST_F(Http1DownstreamTest, RelaysAnInterimResponseWithoutWhatStaysOnItsHop) {
  take(request());
  const std::string head = "HTTP/1.1 103 Early Hints\r\nLink: a\r\nContent-Length: 5\r\nX-Hop: b\r\nConnection: X-Hop\r\n\r\n";
  http::ResponseHead parsed;
  ASSERT_TRUE(http::parse_response(head, parsed));
  downstream->interim(parsed);
  EXPECT_FALSE(downstream->responded()) << "the final answer is still open";
  EXPECT_TRUE(answer({Size::Kind::kLength, 0}).starts_with("HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 200"));
}

TEST_F(Http1DownstreamTest, SendsNoInterimResponseToAnOldClient) {
  take(request("", "HTTP/1.0"));
  http::ResponseHead parsed;
  const std::string head = "HTTP/1.1 103 Early Hints\r\n\r\n";
  ASSERT_TRUE(http::parse_response(head, parsed));
  downstream->interim(parsed);
  EXPECT_TRUE(answer({Size::Kind::kLength, 0}).starts_with("HTTP/1.1 200"));
}

TEST_F(Http1DownstreamTest, CutsAnAnswerSoThatNobodyTakesItForWhole) {
  // With a length, a client sees that bytes are missing. If the end of the connection ends the body, only a reset shows it.
  for (const bool old_client : {false, true}) {
    const test::LoopbackListener listener;
    use(std::make_unique<test::Wire>(shard, listener));
    take(request("", old_client ? "HTTP/1.0" : "HTTP/1.1"));
    downstream->begin_head(200, "OK");
    downstream->end_head({Size::Kind::kUnknown, 0});
    downstream->body_piece("ab");
    EXPECT_TRUE(downstream->flush());
    EXPECT_TRUE(test::turn_until(shard, [&] { return !wire->far.received().empty(); }));
    downstream->body_piece("never sent");
    downstream->leave(stream::Leaving::kReset);
    char byte;
    const auto error = [&] { return ::recv(wire->far.get(), &byte, 1, MSG_DONTWAIT) < 0 ? errno : 0; };
    int seen = EAGAIN;
    EXPECT_TRUE(test::turn_until(shard, [&] { return (seen = error()) != EAGAIN; }));
    EXPECT_EQ(seen, old_client ? ECONNRESET : 0);
  }
}

TEST_F(Http1DownstreamTest, KnowsHowMuchTheClientHasTaken) {
  const test::LoopbackListener listener;
  use(std::make_unique<test::Wire>(shard, listener));
  take(request());
  const std::uint64_t before = downstream->bytes_taken();
  const std::size_t seen = answer({Size::Kind::kLength, 3}, "abc").size();
  EXPECT_TRUE(test::turn_until(shard, [&] { return downstream->bytes_taken() - before == seen; }));
  EXPECT_EQ(downstream->response_bytes(), 3u);
}

// --- which exchange may have a slot, and for how long ---

TEST_F(Http1DownstreamTest, MayTakeASlotUntilWaitersAreRefused) {
  take(request());
  EXPECT_TRUE(downstream->may_take_slot());
  server.refuse_waiters();
  EXPECT_EQ(downstream->may_take_slot().error().reason, Reason::kDraining);
  EXPECT_TRUE(downstream->still_wanted()) << "an exchange that runs goes on";
  EXPECT_TRUE(downstream->within_grace());
  server.end_grace();
  EXPECT_EQ(downstream->still_wanted().error().reason, Reason::kDraining);
  EXPECT_EQ(downstream->within_grace().error().reason, Reason::kDraining);
}

// --- after the last exchange ---

class LingeringTest : public Http1DownstreamTest {
 protected:
  LingeringTest() {
    take(request("Connection: close\r\n"));
    answer({Size::Kind::kLength, 0});
    lingering = shard.start(linger());
  }
  Task<bool> linger() {
    co_await downstream->linger();
    co_return true;
  }
  test::TestShard::Started<bool> lingering;
};

TEST_F(LingeringTest, EndsOurSideAtOnceAndStaysForTwoSeconds) {
  EXPECT_TRUE(wire->far.at_end());
  shard.advance(1999ms);
  EXPECT_FALSE(lingering.done());
  shard.advance(1ms);
  EXPECT_TRUE(lingering.done());
}

TEST_F(LingeringTest, EndsWhenTheClientHasEndedToo) {
  ::shutdown(wire->far.get(), SHUT_WR);
  shard.poll();
  EXPECT_TRUE(lingering.done());
}

TEST_F(LingeringTest, IsNotProlongedByWhatTheClientStillSends) {
  for (int tenths = 0; tenths < 19; ++tenths) {
    shard.advance(100ms);
    wire->far.send(std::string(1000, 'x'));
    shard.poll();
    EXPECT_FALSE(lingering.done());
    EXPECT_FALSE(wire->stream.socket().has_arrived()) << "the bytes are read, so that closing does not reset the connection";
  }
  shard.advance(100ms);
  EXPECT_TRUE(lingering.done());
}

// --- without memory ---

TEST_F(Http1DownstreamTest, FailsWhereItFindsNoMemoryAndGoesOnWithSome) {
  const std::string large(20000, 'x');
  std::size_t served = 0;
  for (std::size_t failed = 1; failed > 0; ++served) {
    use(std::make_unique<test::Wire>(shard));
    wire->far.send(request(length(2) + "X: " + large + "\r\n") + "ab");
    Collected body;
    for (int attempt = 0; attempt < 2; ++attempt) {
      const test::EmptyFrameCache empty;
      const test::FailingMemory one(attempt == 0 ? served : test::FailingMemory::kAll, 1);
      try {
        const Result<Next> next = shard.run(downstream->next_head());
        EXPECT_TRUE(next && *next == Next::kRequest) << served;
        if (attempt == 0) failed = one.failed();
        if (next) break;
      } catch (const std::exception&) {  // bad_alloc ended the task, and the test's runner finds no result
        failed = one.failed();
      }
    }
    EXPECT_EQ(*downstream->read_body(body), Progress::kEnded) << served;
    EXPECT_EQ(body.body, "ab");
  }
  EXPECT_GT(served, 2u);
}

}  // namespace
}  // namespace router::proxy
