#include "router/http/write.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "router/http/client_request_id.h"
#include "router/http/framing.h"

namespace router::http {
namespace {

std::string forwarded_fields(const std::string& sent, const ForwardedHop& hop) {
  const std::string bytes = "GET / HTTP/1.1\r\nHost: a\r\n" + sent + "\r\n";
  RequestHead head;
  EXPECT_TRUE(parse_request(bytes, head));
  std::string out;
  append_forwarded(out, head.fields, hop);
  return out;
}
const std::string kSent =
    "X-Forwarded-For: 10.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: first\r\nForwarded: for=10.0.0.1\r\n"
    "x-forwarded-for: 10.0.0.2, 10.0.0.3\r\n";

TEST(AppendForwarded, ReplacesWhatAnUntrustedPeerSays) {
  const std::string expected =
      "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: models.example\r\n"
      "Forwarded: for=192.0.2.7;host=models.example;proto=https\r\n";
  const ForwardedHop hop{"192.0.2.7", "https", "models.example", false};
  EXPECT_EQ(forwarded_fields(kSent, hop), expected);
  EXPECT_EQ(forwarded_fields("", hop), expected);
}

TEST(AppendForwarded, AppendsToWhatATrustedPeerSays) {
  const ForwardedHop hop{"192.0.2.7", "https", "models.example", true};
  EXPECT_EQ(forwarded_fields(kSent, hop),
            "X-Forwarded-For: 10.0.0.1, 10.0.0.2, 10.0.0.3, 192.0.2.7\r\nX-Forwarded-Proto: http, https\r\n"
            "X-Forwarded-Host: first, models.example\r\n"
            "Forwarded: for=10.0.0.1, for=192.0.2.7;host=models.example;proto=https\r\n");
  EXPECT_EQ(forwarded_fields("X-Forwarded-For:\r\n", hop),
            forwarded_fields("", {"192.0.2.7", "https", "models.example", false}));
}

TEST(AppendForwarded, QuotesWhatForwardedWantsQuoted) {
  const std::string out = forwarded_fields("", {"2001:db8::1", "http", "a:8080", false});
  EXPECT_NE(out.find("X-Forwarded-For: 2001:db8::1\r\n"), std::string::npos) << out;
  EXPECT_NE(out.find("Forwarded: for=\"[2001:db8::1]\";host=\"a:8080\";proto=http\r\n"), std::string::npos) << out;
}

TEST(AppendForwarded, LeavesOutAHostThatIsNotThere) {
  EXPECT_EQ(forwarded_fields("", {"192.0.2.7", "http", "", false}),
            "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: http\r\nForwarded: for=192.0.2.7;proto=http\r\n");
}

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
