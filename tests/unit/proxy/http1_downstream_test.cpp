#include "router/proxy/http1_downstream.h"

#include <sys/socket.h>

#include <string>

#include "tests/unit/proxy/http1_side.h"

namespace router::proxy {
namespace {

// --- the client leaves ---

TEST_F(Http1DownstreamTest, EndsWithoutAWordWhenTheClientLeavesBeforeAHead) {
  leave();
  EXPECT_EQ(*shard.run(downstream->next_head()), Next::kEnd);
}

TEST_F(Http1DownstreamTest, EndsWithoutAWordWhenTheClientLeavesInTheHead) {
  wire->far.send("GET / HT");
  auto reading = read_head();
  EXPECT_FALSE(reading.done());
  leave();
  shard.poll();
  EXPECT_EQ(*reading.get(), Next::kEnd);
}

TEST_F(Http1DownstreamTest, SeesAClientLeaveThatHasSentAll) {
  take(request());
  EXPECT_TRUE(downstream->still_wanted());
  ::shutdown(wire->far.get(), SHUT_WR);
  shard.poll();
  EXPECT_EQ(downstream->still_wanted().error().reason, Reason::kClientClosed) << "a FIN counts as leaving";
}

TEST_F(Http1DownstreamTest, SeesAClientLeaveInItsBody) {
  take(request("Content-Length: 10\r\n") + "abc");
  Collected body;
  EXPECT_EQ(*downstream->read_body(body), Progress::kDrained);
  leave();
  EXPECT_EQ(downstream->read_body(body).error().reason, Reason::kClientClosed);
}

TEST_F(Http1DownstreamTest, SeesAClientLeaveBehindABodyThatIsNotReadYet) {
  take(request("Content-Length: 3\r\n") + "abc");
  EXPECT_TRUE(downstream->still_wanted());
  leave();
  shard.poll();
  EXPECT_EQ(downstream->still_wanted().error().reason, Reason::kClientClosed);
}

TEST_F(Http1DownstreamTest, SeesAClientLeaveThatDoesNotTakeItsAnswer) {
  take(request());
  downstream->begin_head(200, "OK");
  downstream->end_head({Size::Kind::kLength, 4 * kMegabyte});
  const std::string much(4 * kMegabyte, 'x');
  downstream->body_piece(much);
  EXPECT_TRUE(downstream->flush());
  EXPECT_TRUE(downstream->blocked());
  leave();
  EXPECT_EQ(downstream->flush().error().reason, Reason::kClientClosed);
}

TEST_F(Http1DownstreamTest, LooksEvery50MillisecondsForAClientThatHasFilledTheBuffer) {
  take(request("Content-Length: 1000000\r\n"));
  EXPECT_EQ(downstream->ask_again(shard.now()), kNever);
  EXPECT_TRUE(downstream->still_wanted());
  for (int piece = 0; piece < 3; ++piece) {
    wire->far.send(std::string(32 * 1024, 'x'));
    shard.poll();
    EXPECT_TRUE(downstream->still_wanted());
  }
  EXPECT_EQ(downstream->ask_again(shard.now()), shard.now() + 50ms);
  ::shutdown(wire->far.get(), SHUT_WR);
  EXPECT_EQ(downstream->still_wanted().error().reason, Reason::kClientClosed);
}

// --- the head ---

TEST_F(Http1DownstreamTest, HasNothingWhereNotAByteHasCome) { EXPECT_EQ(*shard.run(downstream->next_head()), Next::kNothing); }

TEST_F(Http1DownstreamTest, GivesAHeadTheHeaderTimeout) {
  wire->far.send("GET / HTTP/1.1\r\n");
  auto reading = read_head();
  shard.advance(9s);
  wire->far.send("X: more\r\n");  // more bytes do not prolong the timeout
  shard.advance(999ms);
  EXPECT_FALSE(reading.done());
  shard.advance(1ms);
  EXPECT_EQ(reading.get().error().reason, Reason::kClientTimeout);
}

TEST_F(Http1DownstreamTest, RefusesAHeadThatIsNoHttp) {
  wire->far.send("\x16\x03\x01 hello\r\n\r\n");
  EXPECT_EQ(shard.run(downstream->next_head()).error().reason, Reason::kBadRequest);
}

TEST_F(Http1DownstreamTest, RefusesABodyWhoseEndNobodyKnows) {
  wire->far.send(request("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"));
  EXPECT_EQ(shard.run(downstream->next_head()).error().reason, Reason::kBadRequest);
}

TEST_F(Http1DownstreamTest, KnowsThatARefusedHeadWasThatOfAHead) {
  wire->far.send("HEAD / HTTP/1.1\r\nHost: x\r\nbroken\r\n\r\n");
  EXPECT_EQ(shard.run(downstream->next_head()).error().reason, Reason::kBadRequest);
  EXPECT_EQ(downstream->head().method, http::Method::kHead);
}

TEST_F(Http1DownstreamTest, EndsAHeadWithTheDrainsGrace) {
  wire->far.send("GET / HTTP/1.1\r\n");
  auto reading = read_head();
  server.end_grace();
  wakeup.wake();
  shard.poll();
  EXPECT_EQ(*reading.get(), Next::kEnd);
}

// --- the next request ---

TEST_F(Http1DownstreamTest, GoesOnAfterAWholeExchange) {
  EXPECT_TRUE(goes_on_after(request()));
  EXPECT_TRUE(downstream->finish());
}

TEST_F(Http1DownstreamTest, EndsIfTheClientSaysSo) {
  EXPECT_FALSE(goes_on_after(request("Connection: close\r\n")));
  EXPECT_FALSE(downstream->finish());
}

TEST_F(Http1DownstreamTest, EndsForAnOldClient) {
  EXPECT_FALSE(goes_on_after(request("", "HTTP/1.0")));
  EXPECT_FALSE(downstream->finish());
}

TEST_F(Http1DownstreamTest, GoesOnForAnOldClientThatAsksForItAndTellsIt) {
  take(request("Connection: keep-alive\r\n", "HTTP/1.0"));
  EXPECT_NE(answer({Size::Kind::kLength, 0}).find("Connection: keep-alive\r\n"), std::string::npos);
  EXPECT_TRUE(downstream->finish());
}

TEST_F(Http1DownstreamTest, EndsWithABodyOfUnknownLengthForAnOldClient) {
  take(request("Connection: keep-alive\r\n", "HTTP/1.0"));
  const std::string seen = answer({Size::Kind::kUnknown, 0}, "body");
  EXPECT_NE(seen.find("Connection: close\r\n"), std::string::npos);
  EXPECT_EQ(seen.find("chunked"), std::string::npos);
  EXPECT_TRUE(seen.ends_with("\r\n\r\nbody"));
  EXPECT_FALSE(downstream->finish());
}

TEST_F(Http1DownstreamTest, TellsInADrainThatItEnds) {
  server.begin_drain();
  EXPECT_FALSE(goes_on_after(request()));
  EXPECT_FALSE(downstream->finish());
}

TEST_F(Http1DownstreamTest, KeepsInADrainWhatItHasPromisedBefore) {
  EXPECT_TRUE(goes_on_after(request()));
  server.begin_drain();
  EXPECT_TRUE(downstream->finish());
}

TEST_F(Http1DownstreamTest, TellsThatItEndsOnceItsListenerHasClosed) {
  server.close_listener(kListener);
  EXPECT_FALSE(goes_on_after(request()));
}

TEST_F(Http1DownstreamTest, EndsWhereTheAnswerIsNotWhole) {
  take(request());
  downstream->begin_head(200, "OK");
  downstream->end_head({Size::Kind::kLength, 5});
  downstream->body_piece("ab");
  EXPECT_TRUE(downstream->flush());
  EXPECT_FALSE(downstream->finish());
}

TEST_F(Http1DownstreamTest, EndsWhereTheAnswerIsNotSent) {
  take(request());
  downstream->begin_head(200, "OK");
  downstream->end_head({Size::Kind::kLength, 0});
  downstream->body_end(nullptr);
  EXPECT_FALSE(downstream->finish());
}

TEST_F(Http1DownstreamTest, EndsWhereTheRequestIsNotWhole) {
  take(request("Content-Length: 3\r\n"));
  answer({Size::Kind::kLength, 0});
  EXPECT_FALSE(downstream->finish());
}

TEST_F(Http1DownstreamTest, EndsWhenItWasReset) {
  take(request());
  answer({Size::Kind::kLength, 0});
  downstream->leave(stream::Leaving::kReset);
  EXPECT_FALSE(downstream->finish());
  EXPECT_TRUE(wire->far.at_end());
}

// --- a body that is incomplete when the answer is sent (contract, section 5) ---

TEST_F(Http1DownstreamTest, GoesOnIfAMegabyteIsLeft) {
  EXPECT_TRUE(goes_on_after(request("Content-Length: " + std::to_string(kMegabyte) + "\r\n")));
}

TEST_F(Http1DownstreamTest, EndsIfMoreThanAMegabyteIsLeft) {
  EXPECT_FALSE(goes_on_after(request("Content-Length: " + std::to_string(kMegabyte + 1) + "\r\n")));
}

TEST_F(Http1DownstreamTest, EndsInAChunkedBody) {
  EXPECT_FALSE(goes_on_after(request("Transfer-Encoding: chunked\r\n") + "2\r\nab\r\n"));
}

TEST_F(Http1DownstreamTest, EndsIfTheClientStillWaitsForAContinue) {
  EXPECT_FALSE(goes_on_after(request("Content-Length: 3\r\nExpect: 100-continue\r\n")));
}

TEST_F(Http1DownstreamTest, GoesOnIfTheClientHasBegunWithoutTheContinue) {
  EXPECT_TRUE(goes_on_after(request("Content-Length: 3\r\nExpect: 100-continue\r\n") + "a"));
}

TEST_F(Http1DownstreamTest, GoesOnIfTheContinueWasSent) {
  take(request("Content-Length: 3\r\nExpect: 100-continue\r\n"));
  send_continue();
  send_continue();
  EXPECT_EQ(downstream->body_arrived()->bytes, 0u);
  const std::string seen = answer({Size::Kind::kLength, 0});
  EXPECT_TRUE(seen.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200")) << "once";
  EXPECT_EQ(seen.find("close"), std::string::npos);
  wire->far.send("a");
  Collected body;
  EXPECT_TRUE(downstream->read_body(body));
}

}  // namespace
}  // namespace router::proxy
