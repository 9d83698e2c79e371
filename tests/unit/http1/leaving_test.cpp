#include <gtest/gtest.h>
#include <sys/socket.h>

#include <string>

#include "router/http1/message_output.h"
#include "tests/unit/http1/message_world.h"

/// The peer leaves at each moment of a message. For a client the reason is kClientClosed, for a pod kUpstreamReset.
namespace router::http1 {
namespace {

class LeavingTest : public ::testing::TestWithParam<Origin>, protected MessageWorld {
 protected:
  LeavingTest() : MessageWorld(GetParam()) {}
  Reason left() const { return GetParam() == Origin::kDownstream ? Reason::kClientClosed : Reason::kUpstreamReset; }
  Failure failure_of_body() {
    Result<stream::Progress> read = stream::Progress::kMoved;
    while (read && *read != stream::Progress::kBlocked && *read != stream::Progress::kEnded)
      read = input.read_body(pair.stream, body);
    EXPECT_FALSE(read) << "the end was not reported";
    return read ? Failure{} : read.error();
  }
};

INSTANTIATE_TEST_SUITE_P(Of, LeavingTest, ::testing::Values(Origin::kDownstream, Origin::kUpstream),
                         [](const auto& side) { return side.param == Origin::kDownstream ? "AClient" : "APod"; });

TEST_P(LeavingTest, BeforeAHead) {
  EXPECT_TRUE(head()->empty());
  EXPECT_FALSE(input.begun());
  pair.far.close();
  const Failure failure = head().error();
  EXPECT_EQ(failure.reason, left());
  EXPECT_EQ(failure.origin, GetParam());
}

TEST_P(LeavingTest, InAHead) {
  pair.far.send("POST / HT");
  EXPECT_TRUE(head()->empty());
  EXPECT_TRUE(input.begun());
  ::shutdown(pair.far.get(), SHUT_WR);
  EXPECT_EQ(head().error().reason, left());
}

TEST_P(LeavingTest, BehindAHeadIsSeenWhenTheBodyIsRead) {
  begin({Kind::kLength, 3});
  pair.far.close();
  EXPECT_EQ(failure_of_body().reason, left());
  EXPECT_FALSE(body.ended);
}

TEST_P(LeavingTest, InABodyOfALength) {
  begin({Kind::kLength, 3}, "ab");
  pair.far.close();
  EXPECT_EQ(failure_of_body().reason, left());
  EXPECT_EQ(body.body, "ab") << "the bytes that had arrived are passed on";
  EXPECT_FALSE(body.ended);
}

TEST_P(LeavingTest, InAChunk) {
  begin({Kind::kChunked, 0}, "5\r\nab");
  pair.far.close();
  EXPECT_EQ(failure_of_body().reason, left());
  EXPECT_FALSE(body.ended);
}

TEST_P(LeavingTest, BehindAChunkAndBeforeTheLastOne) {
  begin({Kind::kChunked, 0}, "2\r\nab\r\n");
  pair.far.close();
  EXPECT_EQ(failure_of_body().reason, left());
  EXPECT_FALSE(body.ended);
}

TEST_P(LeavingTest, InTheTrailers) {
  begin({Kind::kChunked, 0}, "2\r\nab\r\n0\r\nX-Sum: 1\r\n");
  pair.far.close();
  EXPECT_EQ(failure_of_body().reason, left());
  EXPECT_FALSE(body.ended);
}

TEST_P(LeavingTest, WithAResetInABodyThatEndsWithTheConnection) {
  begin({Kind::kUntilClose, 0}, "ab");
  ASSERT_EQ(*input.read_body(pair.stream, body), stream::Progress::kDrained);
  pair.stream.socket().reset();  // resets the router's own end, to have a socket that fails
  EXPECT_EQ(failure_of_body().reason, left());
  EXPECT_FALSE(body.ended) << "the body would be taken for complete";
}

TEST_P(LeavingTest, BehindABodyThatHasArrivedTakesNothingFromIt) {
  begin({Kind::kLength, 2}, "ab");
  pair.far.close();
  EXPECT_EQ(*input.read_body(pair.stream, body), stream::Progress::kEnded);
  EXPECT_EQ(body.body, "ab");
  EXPECT_TRUE(body.ended);
}

TEST_P(LeavingTest, IsSeenByWhoReadsAheadOnceAllIsRead) {
  begin({Kind::kLength, 10}, "ab");
  pair.far.send("cd");
  EXPECT_TRUE(input.read_ahead(pair.stream));
  pair.far.close();
  EXPECT_EQ(input.read_ahead(pair.stream).error().reason, left());
  EXPECT_EQ(input.unread_bytes(), 4u);
}

TEST_P(LeavingTest, IsSeenByWhoReadsAheadBehindAFullBuffer) {
  begin({Kind::kLength, 1 << 20});
  for (int piece = 0; piece < 2; ++piece) {
    pair.far.send(std::string(MessageInput::kAheadBytes / 2, 'x'));
    EXPECT_TRUE(input.read_ahead(pair.stream));
  }
  EXPECT_TRUE(input.ahead_is_full());
  pair.far.send("one more");
  EXPECT_TRUE(input.read_ahead(pair.stream));
  EXPECT_EQ(input.unread_bytes(), MessageInput::kAheadBytes) << "the contract allows no more bytes";
  ::shutdown(pair.far.get(), SHUT_WR);
  EXPECT_EQ(input.read_ahead(pair.stream).error().reason, left());
}

TEST_P(LeavingTest, WhileWeSendFailsTheWrite) {
  MessageOutput output(shard.shard().buffers());
  output.begin_response(200, "OK", 1);
  output.end_head({http::Framing::Kind::kUntilClose});
  const std::string much(100000, 'x');
  output.body_piece(much);
  pair.far.close();
  EXPECT_EQ(output.queue().flush(pair.stream).state, runtime::IoState::kFailed);
}

TEST_P(LeavingTest, WhileWeAreBlockedFailsTheNextWrite) {
  MessageOutput output(shard.shard().buffers());
  output.end_head({http::Framing::Kind::kUntilClose});
  const std::string much(4 << 20, 'x');
  output.body_piece(much);
  ASSERT_EQ(output.queue().flush(pair.stream).state, runtime::IoState::kBlocked);
  EXPECT_TRUE(output.queue().blocked());
  pair.far.close();
  EXPECT_EQ(output.queue().flush(pair.stream).state, runtime::IoState::kFailed);
}

}  // namespace
}  // namespace router::http1
