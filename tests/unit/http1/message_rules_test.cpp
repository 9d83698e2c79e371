#include <gtest/gtest.h>

#include <string>

#include "router/http1/message_output.h"
#include "tests/unit/http1/message_world.h"

namespace router::http1 {
namespace {

class MessageInputTest : public ::testing::Test, protected MessageWorld {
 protected:
  MessageInputTest() : MessageWorld(Origin::kDownstream) {}
  /// Reads the bytes that have arrived.
  void read() {
    for (stream::Progress read = stream::Progress::kMoved;
         read != stream::Progress::kBlocked && read != stream::Progress::kEnded;) {
      read = *input.read_body(pair.stream, body);
    }
  }
};

// --- heads ---

TEST_F(MessageInputTest, DropsSixteenEmptyLinesBeforeARequestAndRefusesMore) {
  std::string lines;
  for (int line = 0; line < 16; ++line) lines += "\r\n";
  pair.far.send(lines + std::string(kHead));
  EXPECT_EQ(*head(), kHead);
  input.finish();
  pair.far.send(lines + std::string(kHead));
  EXPECT_EQ(*head(), kHead) << "the limit holds for each request";
  input.finish();
  pair.far.send(lines);
  EXPECT_TRUE(head()->empty());
  pair.far.send("\r\n");
  EXPECT_EQ(head().error().reason, Reason::kBadRequest);
}

TEST_F(MessageInputTest, TakesAnEmptyLineOfAPodForItsHead) {
  MessageInput upstream(shard, Origin::kUpstream);
  pair.far.send("\r\nHTTP/1.1 200 OK\r\n\r\n");
  EXPECT_NE(upstream.head(pair.stream, 65536)->substr(0, 8), "HTTP/1.1");
}

TEST_F(MessageInputTest, ServesAHeadOfExactlyItsLimit) {
  pair.far.send(kHead);
  EXPECT_EQ(*head(kHead.size()), kHead);
}

TEST_F(MessageInputTest, RefusesAHeadOneByteBeyondItsLimit) {
  pair.far.send(kHead);
  EXPECT_EQ(head(kHead.size() - 1).error().reason, Reason::kHeadersTooLarge);
}

TEST_F(MessageInputTest, RefusesATargetThatFillsTheLimitByItsName) {
  pair.far.send("GET /" + std::string(100, 'x'));
  EXPECT_EQ(head(100).error().reason, Reason::kTargetTooLong);
}

TEST_F(MessageInputTest, CallsAPodsHeadBeyondTheLimitInvalid) {
  MessageInput upstream(shard, Origin::kUpstream);
  pair.far.send("HTTP/1.1 200 OK\r\nX: " + std::string(100, 'x'));
  EXPECT_EQ(upstream.head(pair.stream, 100).error().reason, Reason::kUpstreamInvalidResponse);
}

TEST_F(MessageInputTest, GoesOnToTheHeadBehindAnInterimOne) {
  MessageInput upstream(shard, Origin::kUpstream);
  pair.far.send("HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 200 OK\r\n");
  EXPECT_TRUE(upstream.head(pair.stream, 65536)->starts_with("HTTP/1.1 103"));
  upstream.skip_head();
  EXPECT_TRUE(upstream.head(pair.stream, 65536)->empty());
  EXPECT_TRUE(upstream.begun());
  pair.far.send("\r\n");
  EXPECT_EQ(*upstream.head(pair.stream, 65536), "HTTP/1.1 200 OK\r\n\r\n");
}

// --- bodies that are kept ---

TEST_F(MessageInputTest, CountsWhatCameWithTheHeadAsReadAhead) {
  begin({Kind::kLength, 1 << 20}, "0123456789");
  pair.far.send(std::string(100000, 'x'));
  for (int times = 0; times < 3; ++times) EXPECT_TRUE(input.read_ahead(pair.stream));
  EXPECT_EQ(input.unread_bytes(), MessageInput::kAheadBytes);
}

TEST_F(MessageInputTest, BeginsABodyAgainThatItHasKept) {
  begin({Kind::kLength, 6}, "ab");
  input.keep_body();
  pair.far.send("cd");
  ASSERT_TRUE(input.read_ahead(pair.stream));
  read();
  pair.far.send("ef");
  read();
  EXPECT_EQ(body.body, "abcdef");
  ASSERT_TRUE(input.rewind());
  EXPECT_EQ(input.body_bytes(), 0u);
  body = {};
  read();
  EXPECT_EQ(body.body, "abcdef");
  EXPECT_TRUE(body.ended);
  input.finish();
  EXPECT_FALSE(input.begun());
}

TEST_F(MessageInputTest, BeginsABodyAgainOfWhichNothingWasRead) {
  begin({Kind::kLength, 2}, "ab");
  EXPECT_TRUE(input.rewind());
  read();
  EXPECT_EQ(body.body, "ab");
}

TEST_F(MessageInputTest, CannotBeginABodyAgainThatItHasNotKept) {
  begin({Kind::kLength, 4});
  pair.far.send("ab");
  read();
  EXPECT_FALSE(input.rewind());
}

TEST_F(MessageInputTest, KeepsNoMoreThanTheReplayBuffer) {
  for (const std::size_t more : {0, 1}) {
    test::Wire another(shard);
    MessageInput kept(shard, Origin::kDownstream);
    const std::size_t size = MessageInput::kReplayBytes + more;
    another.far.send(kHead);
    ASSERT_EQ(*kept.head(another.stream, 65536), kHead);
    kept.begin_body({Kind::kLength, size + 1});
    kept.keep_body();
    another.far.send(std::string(size, 'x'));
    for (stream::Progress read = stream::Progress::kMoved; read != stream::Progress::kBlocked;)
      read = *kept.read_body(another.stream, body);
    EXPECT_EQ(kept.body_bytes(), size);
    EXPECT_EQ(kept.rewind(), more == 0);
  }
}

TEST_F(MessageInputTest, KnowsWhenABodyOfALengthHasArrived) {
  begin({Kind::kLength, 4}, "ab");
  EXPECT_FALSE(*input.has_arrived());
  pair.far.send("cdGET");
  ASSERT_TRUE(input.read_ahead(pair.stream));
  EXPECT_TRUE(*input.has_arrived());
}

TEST_F(MessageInputTest, KnowsWhenAChunkedBodyHasArrivedInPieces) {
  begin({Kind::kChunked, 0}, "2\r\na");
  EXPECT_FALSE(*input.has_arrived());
  for (const char* piece : {"b\r", "\n0\r\n", "\r\n"}) {
    EXPECT_FALSE(*input.has_arrived());
    pair.far.send(piece);
    ASSERT_TRUE(input.read_ahead(pair.stream));
  }
  EXPECT_TRUE(*input.has_arrived());
  read();
  EXPECT_EQ(body.body, "ab") << "the look consumed no bytes";
}

TEST_F(MessageInputTest, RefusesAMalformedBodyBeforeItIsRead) {
  begin({Kind::kChunked, 0}, "zz\r\n");
  EXPECT_EQ(input.has_arrived().error().reason, Reason::kBadRequest);
}

// --- between two messages ---

TEST_F(MessageInputTest, FindsTheNextMessageInBothBuffers) {
  begin({Kind::kLength, 2}, "abPOST / HTTP/1.1\r\nHo");
  pair.far.send("st: x\r\n\r\n");
  ASSERT_TRUE(input.read_ahead(pair.stream));
  read();
  input.finish();
  EXPECT_TRUE(input.begun());
  EXPECT_EQ(*head(), kHead);
}

TEST_F(MessageInputTest, TellsOfBytesBehindABody) {
  begin({Kind::kLength, 2}, "abX");
  read();
  EXPECT_TRUE(input.body_ended());
  EXPECT_TRUE(input.has_unread());
}

// --- output ---

class MessageOutputTest : public ::testing::Test {
 protected:
  std::string sent() {
    EXPECT_EQ(output.queue().flush(pair.stream).state, runtime::IoState::kDone);
    return pair.far.received();
  }
  test::TestShard shard;
  test::Wire pair{shard};
  MessageOutput output{shard.shard().buffers()};
};

TEST_F(MessageOutputTest, WritesNoChunkForAnEmptyPiece) {
  output.end_head({http::Framing::Kind::kChunked});
  output.body_piece("");  // an empty chunk would be the last one
  output.body_piece("a");
  output.body_end(nullptr);
  EXPECT_EQ(sent(), "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n");
}

TEST_F(MessageOutputTest, HasEndedAtOnceWithoutABody) {
  output.begin_response(204, "No Content", 0);
  output.end_head({});
  EXPECT_TRUE(output.body_ended());
  EXPECT_EQ(sent(), "HTTP/1.0 204 No Content\r\n\r\n");
}

TEST_F(MessageOutputTest, HasNotEndedBeforeItsBodyHas) {
  output.end_head({http::Framing::Kind::kLength, 1});
  EXPECT_FALSE(output.body_ended());
  output.body_piece("x");
  EXPECT_FALSE(output.body_ended());
  output.body_end(nullptr);
  EXPECT_TRUE(output.body_ended());
  EXPECT_EQ(output.body_bytes(), 1u);
}

TEST_F(MessageOutputTest, WritesAnInterimHeadInFrontOfTheAnswer) {
  output.interim(103, "Early Hints");
  output.field("Link", "a");
  output.end_interim();
  output.begin_response(200, "OK", 1);
  output.end_head({http::Framing::Kind::kLength, 0});
  EXPECT_EQ(sent(), "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
}

TEST_F(MessageOutputTest, OwnsWhatThePeerHasNotTaken) {
  output.end_head({http::Framing::Kind::kUntilClose});
  std::string scratch(4 << 20, 'a');
  output.body_piece(scratch);
  ASSERT_EQ(output.queue().flush(pair.stream).state, runtime::IoState::kBlocked);
  const std::size_t size = scratch.size() + 2;
  scratch.assign(scratch.size(), 'b');  // the shard overwrites its scratch buffer with the next read
  std::string got;
  while (got.size() < size) {
    got += pair.far.received();
    output.queue().flush(pair.stream);
  }
  EXPECT_EQ(got.find('b'), std::string::npos);
  EXPECT_EQ(output.queue().sent(), size);
  EXPECT_TRUE(output.queue().empty());
}

TEST_F(MessageOutputTest, ForgetsWhatIsClearedAndSendsNothingOfIt) {
  output.begin_response(200, "OK", 1);
  output.queue().clear();
  EXPECT_TRUE(output.queue().empty());
  EXPECT_EQ(sent(), "");
}

}  // namespace
}  // namespace router::http1
