#include "router/base/json_text.h"

#include <gtest/gtest.h>

namespace router {
namespace {

using namespace std::string_literals;

std::string escaped(std::string_view text) {
  std::string to;
  append_json_text(to, text);
  return to;
}

TEST(JsonText, EscapesWhatWouldEndAStringOrALine) {
  EXPECT_EQ(escaped("plain ~ text"), "plain ~ text");
  EXPECT_EQ(escaped(R"(a"b\c)"), R"(a\"b\\c)");
  EXPECT_EQ(escaped("one\ntwo\r\t\x1b[31m\x7f"), R"(one\ntwo\u000d\u0009\u001b[31m\u007f)");
  EXPECT_EQ(escaped("\0"s), R"(\u0000)");
  EXPECT_EQ(escaped("a\xc2\x85z\xe2\x80\xa8z\xe2\x80\xa9z"), R"(a\u0085z\u2028z\u2029z)");
}

TEST(JsonText, LetsUtf8PassAndReplacesWhatIsNone) {
  for (const char* text : {"é", "日本語", "🦊", "\xc2\xa0", "\xf4\x8f\xbf\xbf", "\xed\x9f\xbf", "\xee\x80\x80"}) {
    EXPECT_EQ(escaped(text), text);
  }
  EXPECT_EQ(escaped("a\xffz"), R"(a\ufffdz)");
  EXPECT_EQ(escaped("\xc3"), R"(\ufffd)") << "cut off";
  EXPECT_EQ(escaped("\xe6\x97z"), R"(\ufffd\ufffdz)") << "cut off in the middle";
  EXPECT_EQ(escaped("\xc0\xaf"), R"(\ufffd\ufffd)") << "overlong";
  EXPECT_EQ(escaped("\xe0\x80\xaf"), R"(\ufffd\ufffd\ufffd)") << "overlong";
  EXPECT_EQ(escaped("\xed\xa0\x80"), R"(\ufffd\ufffd\ufffd)") << "a surrogate";
  EXPECT_EQ(escaped("\xf4\x90\x80\x80"), R"(\ufffd\ufffd\ufffd\ufffd)") << "beyond Unicode";
  EXPECT_EQ(escaped("\xc3\"x"), R"(\ufffd\"x)") << "the quote after it is kept as a quote";
}

}  // namespace
}  // namespace router
