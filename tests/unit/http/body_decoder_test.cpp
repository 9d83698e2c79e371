#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "router/http/framing.h"

namespace router::http {
namespace {

using namespace std::string_literals;

/// The output of a decoder.
struct Decoded {
  std::string bytes;
  std::string rest;  // bytes of the next message
  bool ended = false;
  bool failed = false;
};

/// Feeds `input` in pieces of the given sizes. The last size repeats.
Decoded decode_in_pieces(BodyDecoder& decoder, const std::string& input, const std::vector<std::size_t>& sizes) {
  Decoded out;
  std::size_t at = 0;
  for (std::size_t piece = 0; at < input.size() && !decoder.ended(); ++piece) {
    std::string_view arrived = std::string_view(input).substr(at, sizes[std::min(piece, sizes.size() - 1)]);
    while (!arrived.empty() && !decoder.ended()) {
      const Result<BodyDecoder::Step> step = decoder.next(arrived);
      if (!step) {
        out.failed = true;
        return out;
      }
      EXPECT_TRUE(step->bytes.empty() || (step->bytes.data() >= arrived.data() &&
                                          step->bytes.data() + step->bytes.size() <= arrived.data() + step->consumed))
          << "body bytes are views of the input";
      EXPECT_EQ(step->ended, decoder.ended());
      out.bytes.append(step->bytes);
      arrived.remove_prefix(step->consumed);
      at += step->consumed;
      if (step->consumed == 0) break;
    }
  }
  out.ended = decoder.ended();
  out.rest = input.substr(at);
  return out;
}
/// Decodes `input` at once. Byte by byte the result must be the same.
Decoded decode(const std::string& input, Framing framing = {Framing::Kind::kChunked}) {
  BodyDecoder at_once(framing, Origin::kDownstream);
  Decoded out = decode_in_pieces(at_once, input, {input.size() + 1});
  BodyDecoder by_bytes(framing, Origin::kDownstream);
  const Decoded same = decode_in_pieces(by_bytes, input, {1});
  EXPECT_EQ(same.failed, out.failed) << input;
  EXPECT_EQ(same.ended, out.ended) << input;
  EXPECT_EQ(same.bytes, out.bytes) << input;
  EXPECT_EQ(same.rest, out.rest) << input;
  return out;
}

TEST(BodyDecoder, IsSmallAndAtItsEndBeforeThereIsABody) {
  EXPECT_LE(sizeof(BodyDecoder), 100U);
  BodyDecoder decoder;
  EXPECT_TRUE(decoder.ended());
  EXPECT_EQ(decoder.next("x")->consumed, 0U);
  EXPECT_TRUE(BodyDecoder({Framing::Kind::kNone}, Origin::kDownstream).ended());
  EXPECT_TRUE(BodyDecoder({Framing::Kind::kLength, 0}, Origin::kDownstream).ended());
}

TEST(BodyDecoder, TakesALengthAndLeavesTheRest) {
  const Decoded out = decode("hellonext", {Framing::Kind::kLength, 5});
  EXPECT_TRUE(out.ended);
  EXPECT_EQ(out.bytes, "hello");
  EXPECT_EQ(out.rest, "next");
  EXPECT_FALSE(decode("hell", {Framing::Kind::kLength, 5}).ended);
}

TEST(BodyDecoder, TakesEverythingUntilTheConnectionCloses) {
  BodyDecoder decoder({Framing::Kind::kUntilClose}, Origin::kUpstream);
  EXPECT_EQ(decode_in_pieces(decoder, "0\r\n\r\n", {2}).bytes, "0\r\n\r\n");
  EXPECT_FALSE(decoder.ended());
  EXPECT_TRUE(decoder.closed());
  EXPECT_TRUE(decoder.ended());
}

const std::string kChunks =
    "5\r\nhello\r\n009;name=value;x=\"a \t;b\"\r\n\r\n0\r\n\r\n12\r\n1\r\n!\r\n0;last\r\nX-Sum: 1\r\nX-Other:\t2 \r\n\r\n";
const std::string kContent = "hello\r\n0\r\n\r\n12!";

TEST(BodyDecoder, GivesTheSameBytesAtEverySplit) {
  const std::string stream = kChunks + "GET /";
  for (std::size_t first = 0; first <= stream.size(); ++first) {
    for (std::size_t second = 1; second <= stream.size() - first; ++second) {
      BodyDecoder decoder({Framing::Kind::kChunked}, Origin::kDownstream);
      std::vector<std::size_t> sizes = {first, second, stream.size()};
      if (first == 0) sizes.erase(sizes.begin());
      const Decoded out = decode_in_pieces(decoder, stream, sizes);
      ASSERT_TRUE(out.ended) << first << ' ' << second;
      ASSERT_EQ(out.bytes, kContent) << first << ' ' << second;
      ASSERT_EQ(out.rest, "GET /") << first << ' ' << second;
      ASSERT_NE(decoder.trailers(), nullptr);
      ASSERT_EQ(decoder.trailers()->size(), 2U);
      ASSERT_EQ((decoder.trailers()->begin() + 1)->value, "2");
    }
  }
}

TEST(BodyDecoder, GivesTheSameBytesByteByByte) {
  BodyDecoder decoder({Framing::Kind::kChunked}, Origin::kDownstream);
  const Decoded out = decode_in_pieces(decoder, kChunks + "rest", {1});
  EXPECT_TRUE(out.ended);
  EXPECT_EQ(out.bytes, kContent);
  EXPECT_EQ(out.rest, "rest");
}

TEST(BodyDecoder, AsksForMoreAtEveryPrefixOfABody) {
  for (std::size_t size = 0; size < kChunks.size(); ++size) {
    BodyDecoder decoder({Framing::Kind::kChunked}, Origin::kUpstream);
    const Decoded out = decode_in_pieces(decoder, kChunks.substr(0, size), {kChunks.size()});
    EXPECT_FALSE(out.ended) << size;
    EXPECT_FALSE(out.failed) << size;
    EXPECT_EQ(decoder.next({})->consumed, 0U);
    EXPECT_EQ(decoder.trailers(), nullptr);
    EXPECT_EQ(decoder.closed().error().reason, Reason::kUpstreamReset);
  }
}

TEST(BodyDecoder, ReadsChunkSizesStrictly) {
  EXPECT_EQ(decode("a\r\n0123456789\r\n0\r\n\r\n").bytes, "0123456789");
  EXPECT_EQ(decode("A\r\n0123456789\r\n000\r\n\r\n").bytes, "0123456789");
  EXPECT_EQ(decode("0000000000000001\r\nx\r\n0000000000000000\r\n\r\n").bytes, "x");
  const std::string bodies[] = {"\r\nx",
                                " 1\r\nx",
                                "\t1\r\nx",
                                "+1\r\nx",
                                "-1\r\nx",
                                "0x1\r\nx",
                                "1 \r\nx",
                                "1\t\r\nx",
                                "1\nx",
                                "1\rx",
                                "1\r\rx",
                                "g\r\nx",
                                "1g\r\nx",
                                "1,1\r\nx",
                                "1.\r\nx",
                                "1_0\r\nx",
                                "1\0\r\nx"s,
                                ";a\r\nx",
                                "\"1\"\r\nx",
                                "1\x0b\r\nx",
                                "1=\r\nx",
                                "\xef\xbc\x91\r\nx",
                                "\n1\r\nx",
                                "00000000000000001\r\nx",
                                "10000000000000000\r\nx",
                                "100000000000000005\r\nx"};
  for (const std::string& body : bodies) EXPECT_TRUE(decode(body + "\r\n0\r\n\r\n").failed) << body;
}

TEST(BodyDecoder, RefusesABodyAtItsFirstWrongByteAndWaitsForNoEndOfLine) {
  for (const std::string& start :
       {"x"s, "1x"s, "1\n"s, "1\rx"s, "1;a\n"s, "1;;"s, "00000000000000001"s, "1\r\nxy"s, "1\r\nx\n"s, "0\r\n\rx"s, "0\r\n\n"s,
        "0\r\nX: y\n"s, "1;" + std::string(4095, 'a'), "0\r\nX: " + std::string(8 * 1024 - 2, 'a')}) {
    EXPECT_FALSE(decode(start.substr(0, start.size() - 1)).failed) << start;
    EXPECT_TRUE(decode(start).failed) << start;
  }
}

TEST(BodyDecoder, TakesTheLargestSizeWithoutOverflow) {
  const Decoded out = decode("FFFFFFFFFFFFFFFF\r\nabc\r\n0\r\n\r\n");
  EXPECT_FALSE(out.failed);
  EXPECT_FALSE(out.ended);
  EXPECT_EQ(out.bytes, "abc\r\n0\r\n\r\n");
}

TEST(BodyDecoder, WantsEveryChunkToEndWhereItsSizeSays) {
  for (const char* body :
       {"1\r\nxy\r\n0\r\n\r\n", "1\r\nx\n0\r\n\r\n", "1\r\nx0\r\n\r\n", "1\r\nx\rx0\r\n\r\n", "1\r\nx\r\r\n0\r\n\r\n",
        "2\r\nx\r\n0\r\n\r\n", "1\r\nx \r\n0\r\n\r\n", "0\r\nx\r\n\r\n", "0\r\n\rx", "0\r\n\n", "0\n\r\n"}) {
    EXPECT_TRUE(decode(body).failed) << body;
  }
}

TEST(BodyDecoder, TakesWhiteSpaceWhereAChunkExtensionMayHaveIt) {
  for (const std::string& extension : {";a"s, " ;a"s, "\t ; a"s, "; a = b"s, " ; a\t=\t\"b\" ; c"s, ";a=\"\\\"; \\\\\""s,
                                       ";a;b=c"s, ";a=\"\""s, ";a=\"\xc3\xa4\"\t;b"s}) {
    EXPECT_EQ(decode("1" + extension + "\r\nx\r\n0" + extension + "\r\n\r\n").bytes, "x") << extension;
  }
}

TEST(BodyDecoder, RefusesMalformedExtensions) {
  for (const std::string& extension :
       {" "s,     ";"s,      ";;"s,        ";a;"s,        ";a="s,    ";a= "s, ";=b"s, ";a b"s,   ";a "s,    ";a=b c"s,
        ";a=b "s, ";a=\"b"s, ";a=\"b\"c"s, ";a=\"b\\\""s, ";a\xc3"s, "; "s,   " a"s,  ";a=b=c"s, ";\"a\""s, ";a=\"b\" "s}) {
    EXPECT_TRUE(decode("1" + extension + "\r\nx\r\n0\r\n\r\n").failed) << extension;
  }
}

TEST(BodyDecoder, DropsExtensionsAndBoundsTheirLine) {
  EXPECT_EQ(decode("1;a\r\nx\r\n0;a=b;c\r\n\r\n").bytes, "x");
  for (const std::string& extension : {";a\nb"s, ";a\rb"s, ";a\0b"s, ";\x7f"s, ";a\x01"s, ";a\n"s, ";a\r\r"s}) {
    EXPECT_TRUE(decode("1" + extension + "\r\nx\r\n0\r\n\r\n").failed) << extension;
  }
  EXPECT_TRUE(decode("1;" + std::string(4000, 'a') + "\r\nx\r\n0\r\n\r\n").ended);
  EXPECT_TRUE(decode("1;" + std::string(4100, 'a') + "\r\nx\r\n0\r\n\r\n").failed);
  std::string line_each = "1;" + std::string(4000, 'a') + "\r\nx\r\n";
  EXPECT_TRUE(decode(line_each + line_each + "0\r\n\r\n").ended) << "the limit holds for each line";
}

TEST(BodyDecoder, KeepsTrailersThatNobodyActsOn) {
  BodyDecoder decoder({Framing::Kind::kChunked}, Origin::kDownstream);
  const std::string body =
      "0\r\nContent-Length: 5\r\nX-Checksum: abc\r\nTransfer-Encoding: chunked\r\nHost: evil\r\nAuthorization: Bearer x\r\n"
      "Trailer: y\r\nConnection: close\r\nTE: trailers\r\nazureml-model-deployment: z\r\nX-Forwarded-For: 1.2.3.4\r\n"
      "Content-Encoding: gzip\r\nSet-Cookie: a\r\nX_Forwarded_For: 1.2.3.4\r\nContent_Length: 5\r\nX-Real-IP: 1.2.3.4\r\n"
      "Content_Type: a\r\nVia: 1.1 a\r\n\r\n";
  EXPECT_TRUE(decode_in_pieces(decoder, body, {7}).ended);
  ASSERT_NE(decoder.trailers(), nullptr);
  ASSERT_EQ(decoder.trailers()->size(), 1U);
  EXPECT_EQ(decoder.trailers()->begin()->name, "X-Checksum");
  EXPECT_EQ(decoder.trailers()->begin()->value, "abc");
}

TEST(BodyDecoder, HasNoTrailersWhereNoneRemain) {
  for (const char* body : {"0\r\n\r\n", "0\r\nHost: a\r\n\r\n"}) {
    BodyDecoder decoder({Framing::Kind::kChunked}, Origin::kDownstream);
    EXPECT_TRUE(decode_in_pieces(decoder, body, {100}).ended);
    EXPECT_EQ(decoder.trailers(), nullptr);
  }
}

TEST(BodyDecoder, ReadsTrailersAsStrictlyAsHeads) {
  for (const std::string& trailers :
       {"X : a\r\n"s, ": a\r\n"s, " X: a\r\n"s, "X: a\r\n b\r\n"s, "X\r\n"s, "X: a\n"s, "X: a\rY: b\r\n"s, "X: a\0\r\n"s,
        "X: \x7f\r\n"s, "X(: a\r\n"s, "\nX: a\r\n"s, "GET / HTTP/1.1\r\n"s}) {
    EXPECT_TRUE(decode("0\r\n" + trailers + "\r\n").failed) << trailers;
  }
}

TEST(BodyDecoder, BoundsTrailers) {
  EXPECT_TRUE(decode("0\r\nX: " + std::string(8 * 1024 - 7, 'a') + "\r\n\r\n").ended);
  EXPECT_TRUE(decode("0\r\nX: " + std::string(8 * 1024 - 6, 'a') + "\r\n\r\n").failed);
  std::string many;
  for (std::size_t field = 0; field < Fields::kUsual; ++field) many += "X: y\r\n";
  EXPECT_TRUE(decode("0\r\n" + many + "\r\n").ended);
  EXPECT_TRUE(decode("0\r\n" + many + "X: y\r\n\r\n").failed);
}

TEST(BodyDecoder, NamesTheSideThatFailed) {
  BodyDecoder down({Framing::Kind::kChunked}, Origin::kDownstream);
  EXPECT_EQ(down.next("x").error().reason, Reason::kBadRequest);
  BodyDecoder up({Framing::Kind::kChunked}, Origin::kUpstream);
  EXPECT_EQ(up.next("x").error().reason, Reason::kUpstreamInvalidResponse);
  EXPECT_EQ(BodyDecoder({Framing::Kind::kLength, 1}, Origin::kDownstream).closed().error().reason, Reason::kClientClosed);
  EXPECT_EQ(BodyDecoder({Framing::Kind::kLength, 1}, Origin::kUpstream).closed().error().reason, Reason::kUpstreamReset);
}

TEST(BodyDecoder, StaysAtItsEnd) {
  BodyDecoder decoder({Framing::Kind::kChunked}, Origin::kDownstream);
  ASSERT_TRUE(decoder.next("0\r\n\r\nGET")->ended);
  EXPECT_EQ(decoder.next("GET")->consumed, 0U);
  EXPECT_TRUE(decoder.closed());
}

TEST(BodyDecoder, KeepsItsTrailersWhenItMoves) {
  BodyDecoder decoder({Framing::Kind::kChunked}, Origin::kDownstream);
  ASSERT_TRUE(decoder.next("0\r\nA: b\r\n\r\n")->ended);
  const BodyDecoder moved = std::move(decoder);
  ASSERT_NE(moved.trailers(), nullptr);
  EXPECT_EQ(moved.trailers()->begin()->name, "A");
}

}  // namespace
}  // namespace router::http
