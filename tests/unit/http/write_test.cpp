#include "router/http/write.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "router/http/client_request_id.h"
#include "router/http/framing.h"

namespace router::http {
namespace {

TEST(Write, ChunksAreWhatTheDecoderReads) {
  std::string out;
  for (const std::size_t size : {1U, 15U, 16U, 255U, 4096U}) {
    append_chunk_header(out, size);
    out.append(size, 'x').append(kEmptyLine);
  }
  out.append(kLastChunk);
  append_field(out, "X-Sum", "1");
  out.append(kEmptyLine);
  EXPECT_TRUE(out.starts_with("1\r\nx\r\nf\r\n"));
  BodyDecoder decoder({Framing::Kind::kChunked}, Origin::kUpstream);
  std::size_t bytes = 0;
  for (std::string_view rest = out; !decoder.ended();) {
    const Result<BodyDecoder::Step> step = decoder.next(rest);
    ASSERT_TRUE(step);
    ASSERT_GT(step->consumed, 0U);
    bytes += step->bytes.size();
    rest.remove_prefix(step->consumed);
  }
  EXPECT_EQ(bytes, 1U + 15 + 16 + 255 + 4096);
  EXPECT_EQ(decoder.trailers()->size(), 1U);
}

TEST(Write, ChunkHeadersHoldTheLargestSize) {
  EXPECT_EQ(ChunkHeader(0).view(), kLastChunk);
  EXPECT_EQ(ChunkHeader(0x1a0).view(), "1a0\r\n");
  EXPECT_EQ(ChunkHeader(std::numeric_limits<std::uint64_t>::max()).view(), "ffffffffffffffff\r\n");
}

TEST(ClientRequestId, KeepsLettersDigitsDashAndUnderscoreOfAtMost40Characters) {
  EXPECT_EQ(ClientRequestId("aZ09-_").view(), "aZ09-_");
  EXPECT_EQ(ClientRequestId(" a b\tc\"d\xc3\xa4{e}.f").view(), "abcdef");
  EXPECT_EQ(ClientRequestId(std::string(41, 'x')).view(), std::string(40, 'x'));
  EXPECT_EQ(ClientRequestId(std::string(100, '.') + std::string(39, 'x') + ".yz").view(), std::string(39, 'x') + "y")
      << "dropped first, then cut";
  EXPECT_TRUE(ClientRequestId("").empty());
  EXPECT_TRUE(ClientRequestId("./ ").empty());
  EXPECT_TRUE(ClientRequestId().empty());
}

}  // namespace
}  // namespace router::http
