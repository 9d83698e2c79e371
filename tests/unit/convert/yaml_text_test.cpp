#include "router/convert/yaml_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace router::convert::test {
namespace {

constexpr std::size_t kMax = 1 << 20;

Value read(const std::string& yaml) {
  std::string file = std::filesystem::temp_directory_path() / "yaml-text-test-XXXXXX";
  const int descriptor = ::mkstemp(file.data());
  EXPECT_GE(descriptor, 0);
  std::ofstream(file, std::ios::binary) << yaml;
  config::Findings findings;
  const config::YamlFile found = config::read_yaml(file, findings);
  std::filesystem::remove(file);
  ::close(descriptor);
  EXPECT_EQ(findings.mistakes(), "") << yaml;
  return found.documents.empty() ? map({}) : found.documents.front();
}
/// What is written, or why nothing is.
std::string written(const YamlValue& map, std::size_t bytes_max) {
  const absl::StatusOr<std::string> text = write_yaml(map, bytes_max);
  return text.ok() ? *text : std::string(text.status().message());
}
std::string rewritten(const std::string& yaml) { return written(*read(yaml), kMax); }

void expect_same(const YamlValue& one, const YamlValue& other) {
  ASSERT_EQ(one.kind, other.kind);
  ASSERT_EQ(one.scalar, other.scalar);
  ASSERT_EQ(one.items.size(), other.items.size());
  ASSERT_EQ(one.members.size(), other.members.size());
  for (std::size_t i = 0; i < one.items.size(); ++i) expect_same(*one.items[i], *other.items[i]);
  for (std::size_t i = 0; i < one.members.size(); ++i) {
    ASSERT_EQ(one.members[i].key, other.members[i].key);
    expect_same(*one.members[i].value, *other.members[i].value);
  }
}

TEST(WriteYaml, KeepsOrderAndQuotes) {
  const std::string text =
      "b: 1\na: \"1\"\nflag: yes\nquoted: \"yes\"\nempty: \"\"\nnothing: null\nnumbers:\n  - 0.10\n  - -5\n  - .inf\n  - "
      "2024-01-01\n"
      "  - 0x1F\n  - 1_000\nnone: {}\nnobody: []\nnested:\n  - a: 1\n    b:\n      - x\n      -\n        - 1\n        - c: d\n "
      " - []\n";
  EXPECT_EQ(rewritten(text), text);
}

TEST(WriteYaml, MakesBlocksOfWhateverWasWritten) {
  EXPECT_EQ(rewritten("{a: [1, {b: 'it''s'}], c: &x {d: 1}, e: *x, f: {<<: *x, g: 2}}"),
            "a:\n  - 1\n  - b: \"it's\"\nc:\n  d: 1\ne:\n  d: 1\nf:\n  g: 2\n  d: 1\n");
  EXPECT_EQ(rewritten("a: |\n  one\n  two\nb: >-\n  one\n  two\nc: one\n  two\n"),
            "a: \"one\\ntwo\\n\"\nb: \"one two\"\nc: one two\n");
}

TEST(WriteYaml, QuotesWhatAnotherReaderCouldTakeForSomethingElse) {
  EXPECT_EQ(rewritten("? on\n: 1\n? '1'\n: 1\n? ''\n: 1\n? 'a: b'\n: 1\n$schema: x\nnvidia.com/gpu: 1\n"),
            "\"on\": 1\n\"1\": 1\n\"\": 1\n\"a: b\": 1\n$schema: x\nnvidia.com/gpu: 1\n");
  EXPECT_EQ(rewritten("a: !!str 5\nb: a{b\nc: a [b\nd: '#'\ne: 'x: y'\nf: '- a'\ng: \"*a\"\nh: a,b\n"),
            "a: \"5\"\nb: \"a{b\"\nc: \"a [b\"\nd: \"#\"\ne: \"x: y\"\nf: \"- a\"\ng: \"*a\"\nh: \"a,b\"\n");
}

TEST(WriteYaml, WritesEveryCharacterSoThatItIsReadAgain) {
  for (const char* quoted : {R"("\0\x01\t\r\n\e\x7f")",
                             R"("\x80\x85\x9f\xa0")",
                             R"("\u2028\u2029\ufeff")",
                             "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"",
                             R"("\"\\ \\n")",
                             "' leading and trailing '",
                             "'---'",
                             "'%'",
                             "'`'",
                             "'@'",
                             "'!a'",
                             "'&a'",
                             "'?'",
                             "'|'",
                             "'~'",
                             "'=' ",
                             "'a #b'",
                             "'a:'",
                             "'-'",
                             "'--- a'"}) {
    const Value before = read("a: " + std::string(quoted) + "\n");
    const std::string text = written(*before, kMax);
    expect_same(*before, *read(text));
    for (const char c : text) EXPECT_TRUE(c == '\n' || static_cast<unsigned char>(c) >= ' ') << text;
  }
}

TEST(WriteYaml, EndsBeforeAliasesFillTheMemory) {
  std::string bomb = "a: &a " + std::string(100'000, 'x') + "\nb:\n";
  for (int i = 0; i < 20'000; ++i) bomb += "  - *a\n";
  EXPECT_EQ(written(*read(bomb), kMax), "is more than 1 MB when its aliases are written out");
  EXPECT_EQ(written(*read("a: b\n"), 4), "is more than 1 MB when its aliases are written out");
  EXPECT_EQ(written(*read("a: b\n"), 5), "a: b\n");
}

TEST(WriteYaml, ReplacedNoncharactersByU_FFFD) {
  const std::string why = ", which Unicode keeps for no character: it cannot be written";
  EXPECT_EQ(rewritten(R"(a: {b: ["x", "\uffff"]})"), "a.b contains U+ffff" + why);
  EXPECT_EQ(rewritten(R"(a: "\ufdd0")"), "a contains U+fdd0" + why);
  EXPECT_EQ(rewritten(R"(a: "x\U0010FFFFy")"), "a contains U+10ffff" + why);
  EXPECT_EQ(rewritten("? \"\\ufdef\"\n: 1\n"), "a key contains U+fdef" + why);
  EXPECT_EQ(rewritten(R"(a: "\ufdcf\ufdf0\ufffd\U0001fffd")"), "a: \"\ufdcf\ufdf0\ufffd\U0001fffd\"\n");
}

TEST(Trees, AreMadeOfTextsThatStayTexts) {
  EXPECT_EQ(written(*map({{"a", text("5")},
                          {"b", text("on")},
                          {"c", text("apps/v1")},
                          {"d", nullptr},
                          {"e", number(5)},
                          {"f", list({text("")})}}),
                    kMax),
            "a: \"5\"\nb: \"on\"\nc: apps/v1\ne: 5\nf:\n  - \"\"\n");
}

TEST(Trees, AreChangedInCopies) {
  const Value tree = read("a: {b: {c: 1}, d: 2}\ne: 3\n");
  EXPECT_EQ(written(*without(*tree, {"a", "b", "c"}), kMax), "a:\n  d: 2\ne: 3\n");
  EXPECT_EQ(written(*without(*without(*tree, {"a", "b"}), {"a", "d"}), kMax), "e: 3\n");
  EXPECT_EQ(written(*without(*tree, {"a", "x", "y"}), kMax), written(*tree, kMax));
  EXPECT_EQ(written(*without(*tree, {"e", "x"}), kMax), written(*tree, kMax));
  EXPECT_EQ(written(*with(*tree, "e", number(4)), kMax), "a:\n  b:\n    c: 1\n  d: 2\ne: 4\n");
  EXPECT_EQ(written(*with(*tree, "f", number(4)), kMax), "a:\n  b:\n    c: 1\n  d: 2\ne: 3\nf: 4\n");
  EXPECT_EQ(find(*tree, {"a", "d"})->scalar, "2");
  EXPECT_EQ(find(*tree, {"a", "d", "e"}), nullptr);
}

}  // namespace
}  // namespace router::convert::test
