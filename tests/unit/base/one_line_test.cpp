#include "router/base/one_line.h"

#include <gtest/gtest.h>

namespace router {
namespace {

TEST(OneLine, KeepsWhatIsText) {
  EXPECT_EQ(on_one_line(""), "");
  EXPECT_EQ(on_one_line("a b~ \xc3\xbc \xe2\x82\xac \xf0\x9f\x98\x80 \xc2\xa0"),
            "a b~ \xc3\xbc \xe2\x82\xac \xf0\x9f\x98\x80 \xc2\xa0");
}

TEST(OneLine, HasNoOtherEndOfALine) {
  EXPECT_EQ(on_one_line("a\nb\rc\vd\fe"), "a?b?c?d?e");
  EXPECT_EQ(on_one_line("a\xc2\x85"
                        "b\xe2\x80\xa8"
                        "c\xe2\x80\xa9"
                        "d"),
            "a?b?c?d");
}

TEST(OneLine, SteersNoTerminal) {
  EXPECT_EQ(on_one_line("\x1b[31m\x7f\xc2\x9b"
                        "31m\xe2\x80\xae\xe2\x81\xa6"),
            "?[31m??31m??");
}

TEST(OneLine, IsUtf8) {
  EXPECT_EQ(on_one_line("a\x9b"
                        "b\xc3"),
            "a?b?");
  EXPECT_EQ(on_one_line("\xe2\x80"
                        "x\xc0\xaf\xff"),
            "??x???");
  EXPECT_EQ(on_one_line("\xe0\x80\x80 \xed\xa0\x80 \xf4\x90\x80\x80"), "??? ??? ????");  // overlong, a surrogate, too large
}

}  // namespace
}  // namespace router
