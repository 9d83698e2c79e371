#include "tests/support/wire.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <string>

#include "router/http1/message_input.h"
#include "router/http1/message_output.h"
#include "tests/support/test_shard.h"

namespace router::http1 {
namespace {

using runtime::IoState;
using test::Collected;
using test::TestShard;

class WireTest : public ::testing::Test {
 protected:
  TestShard shard;
  test::Wire pair{shard};
};

TEST_F(WireTest, ReadsAHeadThatArrivesByteByByte) {
  MessageInput input(shard, Origin::kDownstream);
  const std::string head = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
  for (std::size_t i = 0; i + 1 < head.size(); ++i) {
    pair.far.send(head.substr(i, 1));
    EXPECT_TRUE(input.head(pair.stream, 65536)->empty());
  }
  pair.far.send(head.substr(head.size() - 1));
  EXPECT_EQ(*input.head(pair.stream, 65536), head);
}

TEST_F(WireTest, RefusesAHeadBeyondItsLimit) {
  MessageInput input(shard, Origin::kDownstream);
  pair.far.send("GET / HTTP/1.1\r\nX: " + std::string(40000, 'x'));
  EXPECT_EQ(input.head(pair.stream, 20000).error().reason, Reason::kHeadersTooLarge);
}

TEST_F(WireTest, SeparatesPipelinedMessages) {
  MessageInput input(shard, Origin::kDownstream);
  pair.far.send("POST /1 HTTP/1.1\r\nHost: x\r\n\r\nabcGET /2 HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(input.head(pair.stream, 65536)->starts_with("POST /1"));
  input.begin_body({http::Framing::Kind::kLength, 3});
  Collected collected;
  EXPECT_EQ(*input.read_body(pair.stream, collected), stream::Progress::kEnded);
  EXPECT_EQ(collected.body, "abc");
  input.finish();
  EXPECT_TRUE(input.begun());
  EXPECT_TRUE(input.head(pair.stream, 65536)->starts_with("GET /2"));
}

TEST_F(WireTest, GivesWhatCameWithTheHeadTogetherWithWhatFollows) {
  MessageInput input(shard, Origin::kDownstream);
  pair.far.send("POST / HTTP/1.1\r\nHost: x\r\n\r\nab");
  EXPECT_FALSE(input.head(pair.stream, 65536)->empty());
  input.begin_body({http::Framing::Kind::kLength, 6});
  pair.far.send("cd");
  Collected collected;
  EXPECT_EQ(*input.read_body(pair.stream, collected), stream::Progress::kDrained);
  EXPECT_EQ(collected.body, "abcd");
  pair.far.send("ef");
  EXPECT_EQ(*input.read_body(pair.stream, collected), stream::Progress::kEnded);
  EXPECT_EQ(collected.body, "abcdef");
}

TEST_F(WireTest, KeepsWhatArrivesAheadAndDeliversItInOrder) {
  MessageInput input(shard, Origin::kDownstream);
  pair.far.send("POST / HTTP/1.1\r\nHost: x\r\n\r\nab");
  EXPECT_FALSE(input.head(pair.stream, 65536)->empty());
  input.begin_body({http::Framing::Kind::kLength, 6});
  pair.far.send("cd");
  EXPECT_TRUE(input.read_ahead(pair.stream));
  pair.far.send("efGET");
  EXPECT_TRUE(input.read_ahead(pair.stream));
  Collected collected;
  while (!collected.ended) ASSERT_TRUE(input.read_body(pair.stream, collected));
  EXPECT_EQ(collected.body, "abcdef");
  input.finish();
  EXPECT_TRUE(input.begun());  // bytes of the next request have arrived: "GET"
}

TEST_F(WireTest, ReadsAheadNoMoreThanItsBound) {
  MessageInput input(shard, Origin::kDownstream);
  pair.far.send("POST / HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_FALSE(input.head(pair.stream, 65536)->empty());
  input.begin_body({http::Framing::Kind::kLength, 1 << 20});
  pair.far.send(std::string(100000, 'x'));
  EXPECT_TRUE(input.read_ahead(pair.stream));
  EXPECT_EQ(::recv(pair.stream.socket().descriptor(), std::string(1, ' ').data(), 1, MSG_PEEK),
            1);  // the rest stays in the kernel
  pair.far.close();
  EXPECT_EQ(input.read_ahead(pair.stream).error().reason, Reason::kClientClosed);  // the end is still seen
}

TEST_F(WireTest, TellsThatThePeerHasLeft) {
  MessageInput input(shard, Origin::kUpstream);
  pair.far.close();
  EXPECT_EQ(input.head(pair.stream, 65536).error().reason, Reason::kUpstreamReset);
}

TEST_F(WireTest, FailsWhenABodyIsCutShort) {
  MessageInput input(shard, Origin::kUpstream);
  pair.far.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc");
  EXPECT_FALSE(input.head(pair.stream, 65536)->empty());
  input.begin_body({http::Framing::Kind::kLength, 9});
  Collected collected;
  EXPECT_EQ(*input.read_body(pair.stream, collected), stream::Progress::kDrained);
  pair.far.close();
  EXPECT_EQ(input.read_body(pair.stream, collected).error().reason, Reason::kUpstreamReset);
  EXPECT_FALSE(collected.ended);
}

TEST_F(WireTest, EndsABodyOfUnknownLengthWithTheConnection) {
  MessageInput input(shard, Origin::kUpstream);
  pair.far.send("HTTP/1.1 200 OK\r\n\r\nabc");
  EXPECT_FALSE(input.head(pair.stream, 65536)->empty());
  input.begin_body({http::Framing::Kind::kUntilClose, 0});
  Collected collected;
  EXPECT_EQ(*input.read_body(pair.stream, collected), stream::Progress::kDrained);
  pair.far.close();
  EXPECT_EQ(*input.read_body(pair.stream, collected), stream::Progress::kEnded);
  EXPECT_EQ(collected.body, "abc");
}

TEST_F(WireTest, WritesHeadAndBodyInOneGo) {
  MessageOutput output(shard.shard().buffers());
  output.begin_request("POST", "/score", "/x", "?q=1");
  output.field("Host", "h");
  output.end_head({http::Framing::Kind::kLength, 5});
  output.body_piece("hello");
  output.body_end(nullptr);
  EXPECT_EQ(output.queue().flush(pair.stream).state, IoState::kDone);
  EXPECT_EQ(pair.far.received(), "POST /score/x?q=1 HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello");
}

TEST_F(WireTest, WritesChunksAndTrailers) {
  MessageOutput output(shard.shard().buffers());
  output.begin_response(200, "OK", 1);
  output.end_head({http::Framing::Kind::kChunked});
  output.body_piece(std::string(26, 'x'));
  http::Fields trailers;
  trailers.add({"X-Sum", "1", http::Field::kOther});
  output.body_end(&trailers);
  output.queue().flush(pair.stream);
  EXPECT_EQ(pair.far.received(),
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1a\r\n" + std::string(26, 'x') + "\r\n0\r\nX-Sum: 1\r\n\r\n");
}

TEST_F(WireTest, KeepsInOrderWhatThePeerDoesNotTake) {
  MessageOutput output(shard.shard().buffers());
  output.begin_response(200, "OK", 1);
  output.end_head({http::Framing::Kind::kUntilClose});
  constexpr std::size_t kPiece = 20000;
  std::string sent;
  for (int piece = 0; piece < 60; ++piece) sent += std::string(kPiece, static_cast<char>('a' + piece % 26));
  std::string got;
  for (std::size_t at = 0; at < sent.size(); at += kPiece) {
    output.body_piece(std::string_view(sent).substr(at, kPiece));
    if (at / kPiece % 30 != 29) continue;  // writes more parts than a queue has, and more bytes than a socket buffer
    output.queue().flush(pair.stream);
    while (output.queue().blocked()) {
      got += pair.far.received();
      output.queue().flush(pair.stream);
    }
  }
  got += pair.far.received();
  EXPECT_EQ(got, "HTTP/1.1 200 OK\r\n\r\n" + sent);
}

}  // namespace
}  // namespace router::http1
