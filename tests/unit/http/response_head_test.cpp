#include <gtest/gtest.h>

#include <string>

#include "router/http/head.h"

namespace router::http {
namespace {

using namespace std::string_literals;

bool is_refused(const std::string& bytes) {
  ResponseHead head;
  const Result<void> parsed = parse_response(bytes, head);
  if (parsed) return false;
  EXPECT_EQ(parsed.error().origin, Origin::kUpstream);
  EXPECT_EQ(parsed.error().reason, Reason::kUpstreamInvalidResponse);
  return true;
}

TEST(ResponseHead, GivesViewsOfTheCallersBytes) {
  const std::string bytes = "HTTP/1.0 404 Not  Here \xe9\r\nServer: x\r\nRetry-After: 1\r\n\r\n";
  ResponseHead head;
  ASSERT_TRUE(parse_response(bytes, head));
  EXPECT_EQ(head.status, 404);
  EXPECT_EQ(head.minor_version, 0);
  EXPECT_EQ(head.reason_phrase, "Not  Here \xe9");
  EXPECT_EQ(head.fields.size(), 2U);
  EXPECT_EQ(head.fields.get(Field::kRetryAfter), "1");
  EXPECT_GE(head.reason_phrase.data(), bytes.data());
}

TEST(ResponseHead, MayHaveNoReasonAndNoFields) {
  ResponseHead head;
  ASSERT_TRUE(parse_response("HTTP/1.1 200 \r\n\r\n", head));
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.reason_phrase, "");
  EXPECT_EQ(head.fields.size(), 0U);
}

TEST(ResponseHead, MayLeaveOutTheSpaceBeforeAReasonThatIsNotThere) {
  const std::string bytes = "HTTP/1.1 503\r\nA: b\r\nContent-Length:  5 \r\n\r\n";
  ResponseHead head;
  ASSERT_TRUE(parse_response("HTTP/1.1 200 OK\r\nX: y\r\n\r\n", head));
  ASSERT_TRUE(parse_response(bytes, head));
  EXPECT_EQ(head.status, 503);
  EXPECT_EQ(head.reason_phrase, "");
  ASSERT_EQ(head.fields.size(), 2U);
  EXPECT_EQ(head.fields.begin()->name, "A");
  EXPECT_EQ(head.fields.begin()->name.data(), bytes.data() + 14) << "a view of the input, not of a copy";
  EXPECT_EQ(head.fields.get(Field::kContentLength), "5");
}

TEST(ResponseHead, RefusesStatusLinesThatAreNone) {
  const std::string lines[] = {"",
                               "HTTP/1.1",
                               "HTTP/1.1 ",
                               "HTTP/1.1 2",
                               "HTTP/1.1 20",
                               "HTTP/1.1 20 OK",
                               "HTTP/1.1 2000 OK",
                               "HTTP/1.1 20x OK",
                               "HTTP/1.1 099 Low",
                               "HTTP/1.1 000",
                               "HTTP/1.1 600 High",
                               "HTTP/1.1 999",
                               "HTTP/1.1 -20 OK",
                               "HTTP/1.1 +20 OK",
                               "HTTP/1.1  200 OK",
                               "HTTP/1.1\t200 OK",
                               "HTTP/1.1 200\tOK",
                               " HTTP/1.1 200 OK",
                               "HTTP/2.0 200 OK",
                               "HTTP/1.2 200 OK",
                               "HTTP/0.9 200 OK",
                               "http/1.1 200 OK",
                               "ICY 200 OK",
                               "HTTP/1.1 200 O\x01K",
                               "HTTP/1.1 200 O\0K"s,
                               "HTTP/1.1 200 OK\x7f"};
  for (const std::string& line : lines) EXPECT_TRUE(is_refused(line + "\r\nX: y\r\n\r\n")) << line;
}

TEST(ResponseHead, RefusesTheSameFieldLinesAsARequestButForABlankBeforeTheColon) {
  const std::string fields[] = {": a",        " X: a",      "X Y: a",   "X",     "X: a\r\n b", "X: a\r\n\tb",
                                "X: a\nY: b", "X: a\rY: b", "X: a\0b"s, "X(: a", "X: a\x0b",   "X: a\n"};
  for (const std::string& field : fields) {
    EXPECT_TRUE(is_refused("HTTP/1.1 200 OK\r\n" + field + "\r\n\r\n")) << field;
    EXPECT_TRUE(is_refused("HTTP/1.1 200\r\n" + field + "\r\n\r\n")) << field;
  }
  EXPECT_TRUE(is_refused("HTTP/1.1 200 OK\n\n"));
  EXPECT_TRUE(is_refused("HTTP/1.1 200 OK\r\n\n"));
}

TEST(ResponseHead, WantsOneWholeHeadAndNothingBehindIt) {
  for (const std::string whole : {"HTTP/1.1 200 OK\r\nX: y\r\n\r\n", "HTTP/1.1 200\r\nX: y\r\n\r\n"}) {
    for (std::size_t size = 0; size < whole.size(); ++size) EXPECT_TRUE(is_refused(whole.substr(0, size))) << size;
    EXPECT_FALSE(is_refused(whole));
    EXPECT_TRUE(is_refused(whole + "x"));
    EXPECT_TRUE(is_refused(whole + "\r\n"));
  }
}

TEST(ResponseHead, HoldsAtMost128Fields) {
  std::string bytes = "HTTP/1.1 200 OK\r\n";
  for (std::size_t field = 0; field < Fields::kUsual; ++field) bytes += "X: y\r\n";
  EXPECT_FALSE(is_refused(bytes + "\r\n"));
  bytes += "X: y\r\n\r\n";
  ResponseHead head;
  EXPECT_STREQ(parse_response(bytes, head).error().cause, "more than 128 fields");  // this limit is fixed
}

TEST(ResponseHead, LosesBlanksBeforeAColon) {
  for (const std::string start : {"HTTP/1.1 200 Fine: yes", "HTTP/1.1 200"}) {
    const std::string bytes = start + "\r\nContent-Length : 5\r\nX-A\t :b: c\r\nX-B: a : b\r\n\r\n";
    ResponseHead head;
    ASSERT_TRUE(parse_response(bytes, head)) << start;
    ASSERT_EQ(head.fields.size(), 3U);
    const FieldLine* line = head.fields.begin();
    EXPECT_EQ(line->name, "Content-Length");
    EXPECT_EQ(line->id, Field::kContentLength);
    EXPECT_EQ(line->value, "5");
    EXPECT_EQ((++line)->name, "X-A");
    EXPECT_EQ(line->value, "b: c");
    EXPECT_EQ((++line)->value, "a : b");
    EXPECT_GE(line->name.data(), bytes.data());
    EXPECT_LE(line->value.data() + line->value.size(), bytes.data() + bytes.size()) << "a view beyond the input";
    EXPECT_EQ(head.reason_phrase, start.size() > 12 ? "Fine: yes" : "");
  }
  ResponseHead head;
  for (const char* line : {" : x", "a b : x", "a b: x", "a :\tx\r\n y: z"}) {
    EXPECT_FALSE(parse_response("HTTP/1.1 200 OK\r\n" + std::string(line) + "\r\n\r\n", head)) << line;
  }
}

}  // namespace
}  // namespace router::http
