#include "router/http/framing.h"

#include <gtest/gtest.h>

#include <string>

namespace router::http {
namespace {

using Kind = Framing::Kind;

/// Reads head and framing as the router does. Returns the reason of the one that refuses.
Result<Framing> frame_request(const std::string& fields, int minor_version = 1) {
  const std::string bytes = "POST / HTTP/1." + std::to_string(minor_version) + "\r\nHost: a\r\n" + fields + "\r\n";
  RequestHead head;
  if (const Result<void> parsed = parse_request(bytes, head); !parsed) return parsed.error();
  return request_framing(head);
}
Reason request_reason(const std::string& fields, int minor_version = 1) {
  const Result<Framing> framing = frame_request(fields, minor_version);
  return framing ? Reason::kNone : framing.error().reason;
}

Result<Framing> frame_response(int status, const std::string& fields, Method method = Method::kPost, int minor_version = 1) {
  const std::string bytes =
      "HTTP/1." + std::to_string(minor_version) + " " + std::to_string(status) + " Some reason\r\n" + fields + "\r\n";
  ResponseHead head;
  if (const Result<void> parsed = parse_response(bytes, head); !parsed) return parsed.error();
  return response_framing(head, method);
}

TEST(RequestFraming, IsTakenFromTheFields) {
  EXPECT_EQ(frame_request("")->kind, Kind::kNone);
  EXPECT_EQ(frame_request("Content-Length: 0\r\n")->kind, Kind::kNone);
  const Result<Framing> length = frame_request("content-length: \t 12 \r\n");
  EXPECT_EQ(length->kind, Kind::kLength);
  EXPECT_EQ(length->length, 12U);
  EXPECT_EQ(frame_request("Content-Length: 007\r\n")->length, 7U);
  EXPECT_EQ(frame_request("Content-Length: 999999999999999999\r\n")->length, 999999999999999999U);
  EXPECT_EQ(frame_request("Transfer-Encoding: chunked\r\n")->kind, Kind::kChunked);
  EXPECT_EQ(frame_request("TRANSFER-ENCODING: \t CHUNKED \t\r\n")->kind, Kind::kChunked);
  EXPECT_EQ(frame_request("Content-Length: 5\r\n", 0)->length, 5U);
}

TEST(RequestFraming, RefusesLengthsThatAreMalformedOrGivenTwice) {
  const char* values[] = {"",
                          "x",
                          "-1",
                          "+1",
                          "1.0",
                          "1e3",
                          "0x10",
                          "1 2",
                          "1,1",
                          "1, 1",
                          "1;1",
                          "\"1\"",
                          "１",
                          "1\t1",
                          ",1",
                          "1,",
                          "- 1",
                          "1 000",
                          "abc5",
                          "5abc",
                          "9999999999999999999",
                          "18446744073709551616",
                          "18446744073709551621",
                          "100000000000000000000"};
  for (const char* value : values) {
    EXPECT_EQ(request_reason(std::string("Content-Length: ") + value + "\r\n"), Reason::kBadRequest) << value;
  }
  EXPECT_EQ(request_reason("Content-Length: 5\r\nContent-Length: 6\r\n"), Reason::kBadRequest);
  EXPECT_EQ(request_reason("Content-Length: 5\r\nContent-Length: 5\r\n"), Reason::kBadRequest)
      << "even if both have the same value";
  EXPECT_EQ(request_reason("Content-Length: 5\r\nX: y\r\ncontent-length: 0\r\n"), Reason::kBadRequest);
}

TEST(RequestFraming, RefusesLengthAndCodingTogetherInAnyOrder) {
  EXPECT_EQ(request_reason("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), Reason::kBadRequest);
  EXPECT_EQ(request_reason("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"), Reason::kBadRequest);
  EXPECT_EQ(request_reason("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n"), Reason::kBadRequest);
  EXPECT_EQ(request_reason("Transfer-Encoding: gzip\r\nContent-Length: 5\r\n"), Reason::kBadRequest);
  EXPECT_EQ(request_reason("Content-Length: 5\r\nTransfer-Encoding: identity\r\n"), Reason::kBadRequest);
}

TEST(RequestFraming, RefusesCodingsInHttp10) {
  EXPECT_EQ(request_reason("Transfer-Encoding: chunked\r\n", 0), Reason::kBadRequest);
  EXPECT_EQ(request_reason("Transfer-Encoding: gzip\r\n", 0), Reason::kBadRequest);
  EXPECT_EQ(request_reason("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", 0), Reason::kBadRequest);
}

TEST(RequestFraming, RefusesABodyWhoseLastCodingIsNotChunked) {
  for (const char* value : {"gzip", "identity", "chunked, gzip", "chunked,identity", "xchunked", "chunkedx", "chunke", "chunk",
                            "x", "deflate , gzip"}) {
    EXPECT_EQ(request_reason(std::string("Transfer-Encoding: ") + value + "\r\n"), Reason::kBadRequest) << value;
  }
  EXPECT_EQ(request_reason("Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n"), Reason::kBadRequest);
}

TEST(RequestFraming, TellsCodingsThatItDoesNotKnowFromMalformedOnes) {
  for (const char* value : {"gzip, chunked", "identity,chunked", "x , Chunked"}) {
    EXPECT_EQ(request_reason(std::string("Transfer-Encoding: ") + value + "\r\n"), Reason::kUnsupportedCoding) << value;
  }
  EXPECT_EQ(request_reason("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n"), Reason::kUnsupportedCoding);
  for (const char* value : {"",
                            ",",
                            "chunked,",
                            ",chunked",
                            "chunked, chunked",
                            "chunked,gzip,chunked",
                            "\"chunked\"",
                            "'chunked' x",
                            "chunked;q=1",
                            "chunked ;",
                            "chun ked",
                            "chunked chunked",
                            "[chunked]",
                            "chunked\t\tx",
                            "chunked\x0b",
                            "\x0b"
                            "chunked",
                            "chunked\x0c",
                            "chunked\xa0",
                            "ch\xc3\xbcnked",
                            "chunked\r\n ",
                            "chunked\r",
                            "=chunked"}) {
    EXPECT_EQ(request_reason(std::string("Transfer-Encoding: ") + value + "\r\n"), Reason::kBadRequest) << value;
  }
  EXPECT_EQ(request_reason("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), Reason::kBadRequest);
  EXPECT_EQ(request_reason("Transfer-Encoding: chunked\r\nTransfer-encoding: \r\n"), Reason::kBadRequest);
}

TEST(ResponseFraming, IsTakenFromTheFieldsOrTheEndOfTheConnection) {
  EXPECT_EQ(frame_response(200, "")->kind, Kind::kUntilClose);
  EXPECT_EQ(frame_response(200, "", Method::kGet, 0)->kind, Kind::kUntilClose);
  EXPECT_EQ(frame_response(200, "Content-Length: 0\r\n")->kind, Kind::kNone);
  EXPECT_EQ(frame_response(500, "Content-Length: 9\r\n")->length, 9U);
  EXPECT_EQ(frame_response(200, "Transfer-Encoding: chunked\r\n")->kind, Kind::kChunked);
}

TEST(ResponseFraming, HasNoBodyWhereTheStandardSaysSo) {
  for (const char* fields : {"", "Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n"}) {
    for (const int status : {100, 103, 199, 204, 304}) EXPECT_EQ(frame_response(status, fields)->kind, Kind::kNone) << status;
    EXPECT_EQ(frame_response(200, fields, Method::kHead)->kind, Kind::kNone);
    EXPECT_EQ(frame_response(404, fields, Method::kHead)->kind, Kind::kNone);
    EXPECT_NE(frame_response(205, fields)->kind, Kind::kNone);
  }
}

TEST(ResponseFraming, RefusesWhatIsRefusedInRequests) {
  const char* cases[] = {"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
                         "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
                         "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                         "Transfer-Encoding: gzip\r\n",
                         "Transfer-Encoding: gzip, chunked\r\n",
                         "Transfer-Encoding: chunked, chunked\r\n",
                         "Transfer-Encoding:\r\n",
                         "Content-Length: 5\r\nContent-Length: 5\r\n",
                         "Content-Length: 5, 5\r\n",
                         "Content-Length: -5\r\n",
                         "Content-Length:\r\n"};
  for (const char* fields : cases) {
    const Result<Framing> framing = frame_response(200, fields);
    ASSERT_FALSE(framing) << fields;
    EXPECT_EQ(framing.error().reason, Reason::kUpstreamInvalidResponse) << fields;
    EXPECT_EQ(framing.error().origin, Origin::kUpstream) << fields;
  }
  EXPECT_FALSE(frame_response(200, "Transfer-Encoding: chunked\r\n", Method::kGet, 0));
  EXPECT_FALSE(frame_response(304, "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"));
  EXPECT_FALSE(frame_response(200, "Content-Length: x\r\n", Method::kHead));
}

}  // namespace
}  // namespace router::http
