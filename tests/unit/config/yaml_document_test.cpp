#include "config/yaml_document.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <algorithm>
#include <random>

#include "config_folder.h"

namespace router::config::test {
namespace {

using testing::HasSubstr;

std::string repeated(const std::string& piece, std::size_t times) {
  std::string text;
  for (std::size_t i = 0; i < times; ++i) text += piece;
  return text;
}

using RefusedYaml = RefusedFile;
TEST_P(RefusedYaml, IsToldWithItsLocation) { expect_refused(); }

BadFile bad(const char* name, const std::string& text, const std::string& told) {
  return {name, "endpoints/blue.yml", text, "endpoints/blue.yml" + told};
}

/// Each level expands to ten copies of the level before it.
std::string alias_bomb() {
  std::string text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int level = 1; level < 10; ++level) {
    const std::string before = "*a" + std::to_string(level - 1);
    text += "a" + std::to_string(level) + ": &a" + std::to_string(level) + " [" + before + repeated(", " + before, 9) + "]\n";
  }
  return text;
}

const std::string kNames = "name: blue\nendpoint_name: my-endpoint\n";

INSTANTIATE_TEST_SUITE_P(
    Mistakes, RefusedYaml,
    testing::Values(
        bad("Empty", "", ":1: the file is empty"), bad("OnlyAComment", "# nothing\n", ":1: the file is empty"),
        bad("OnlyNull", "---\n~\n", ":1: the file is empty"), bad("Text", "hello\n", ":1: a map of keys is expected"),
        bad("Bracket", kNames + "tags: [a\n", ":3: is not valid YAML: "),
        bad("SingleQuote", kNames + "description: 'open\nrouter: {}\n\n", ":4: is not valid YAML: "),
        bad("DoubleQuote", kNames + "description: \"open\nrouter: {}\n", ":4: is not valid YAML: "),
        bad("KeyWithOpenQuote", kNames + "\"router\n", ":3: is not valid YAML: "),
        bad("ClosedTwice", kNames + "tags: {a: b}}\n", ":3: is not valid YAML: "),
        bad("TextAfterQuote", kNames + "description: 'a' b\n", ":3: is not valid YAML: "),
        bad("Indentation", "name: blue\n endpoint_name: my-endpoint\n", ":2: is not valid YAML: "),
        bad("Tab", "name: blue\n\tendpoint_name: my-endpoint\n", ":2: is not valid YAML: "),
        bad("Percent", "name: %blue\n", ":1: is not valid YAML: "),
        bad("UnknownAlias", kNames + "tags: *nowhere\n", ":3: is not valid YAML: "),
        bad("AliasOfItself", kNames + "tags: &a {b: *a}\n", ":3: an alias inside the value that it stands for"),
        bad("KeyIsAList", "[a, b]: c\n", ":1: a key must be plain text"), bad("KeyIsNull", "~: c\n", ":1: a key must be"),
        bad("DuplicateKey", kNames + "name: green\n", ":3: name: this key is given twice"),
        bad("DuplicateKeyInIgnoredValue", kNames + "model:\n  - path: a\n    path: b\n",
            ":5: model[0].path: this key is given"),
        bad("DuplicateKeyInFlow", kNames + "tags: {a: 1, b: 2, a: 3}\n", ":3: tags.a: this key is given twice"),
        bad("MergeOfAText", kNames + "tags: {<<: a}\n", ":3: a map, or a list of maps, is expected after <<"),
        bad("AliasBomb", alias_bomb() + kNames, ":5: more than 50000 values in one file, aliases counted"),
        bad("MergeBomb", "a: &a {a: 1, b: 2, c: 3, d: 4, e: 5, f: 6}\nx:\n" + repeated("- {<<: [*a, *a, *a, *a]}\n", 2000),
            ":"),
        bad("DeepFlow", "model: " + repeated("[", 10000) + "\n", ":1: nested deeper than 64 levels"),
        bad("DeepMaps", "model: " + repeated("{a: ", 10000) + "\n", ":1: nested deeper than 64 levels"),
        bad("DeepLists", "model:\n  " + repeated("- ", 10000) + "\n", ":2: nested deeper than 64 levels"),
        bad("ManyValues", "model: [" + repeated("a,", 60000) + "]\n", ":1: more than 50000 values"),
        bad("ManyDocuments", repeated("--- {a: b}\n", 20000), ":"),
        bad("LargerThanAMegabyte", kNames + repeated("# comment\n", 105000), ": is larger than 1048576 bytes"),
        bad("TenMegabytesOfNonsense", repeated("\x01{[\"'%&*!|>", 1000000), ": is larger than 1048576 bytes"),
        bad("ControlCharacter", "name: blue\n\x04\nrubbish: true\n", ": is not text"),
        bad("Zero", std::string("a\0b", 3), ": is not"),
        bad("NotUtf8",
            "name: bl\xfc"
            "e\n",
            ": is not text"),
        bad("Overlong", "name: \xc0\xaf\n", ": is not text"), bad("Surrogate", "name: \xed\xa0\x80\n", ": is not text"),
        bad("CutCharacter", "name: \xe2\x82", ": is not text")),
    name_of);

TEST(Yaml, IsRefusedInAFolderAPipeOrAFileThatIsNotThere) {
  const ConfigFolder folder;
  folder.write("endpoints/folder.yml/file", "x");
  EXPECT_THAT(folder.mistakes(), HasSubstr("endpoints/folder.yml: is a folder"));
  folder.remove("endpoints/folder.yml");
  ASSERT_EQ(::mkfifo(folder.path("endpoints/pipe.yml").c_str(), 0600), 0);
  EXPECT_THAT(folder.mistakes(), HasSubstr("endpoints/pipe.yml: is not a regular file"));
  folder.remove("endpoints/pipe.yml");
  folder.remove("router.yaml");
  EXPECT_THAT(folder.mistakes(), HasSubstr("router.yaml: cannot be read: No such file"));
}

TEST(Yaml, OfAMegabyteThatIsMadeToBeSlowIsAnsweredSoon) {
  const ConfigFolder folder;
  for (const char* piece :
       {"[", "{",    "- ",    "? ",    "a: ",          "&a ",   "*a ",  "!a ",      "!!", "|\n", "\"\\x41", "'", "a\n",   "#",
        ",", "%a\n", "---\n", "...\n", "\xe2\x82\xac", "[a]: ", "<<: ", "&a [*a, ", "\n", " ",   ": ",      "]", "a: [\n"}) {
    const std::string unit = piece;
    folder.write("endpoints/blue.yml", repeated(unit, 1'000'000 / unit.size()));
    const auto start = std::chrono::steady_clock::now();
    EXPECT_NE(folder.mistakes(), "") << piece;
    // A generous limit: a quadratic reader would take hours, and the machine of the test may be busy.
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20)) << piece;
  }
}

TEST(Yaml, OfRandomPiecesIsReadOrRefusedButNeverThrows) {
  const ConfigFolder folder;
  const std::vector<std::string> pieces{"name", ": ",   "\n",    "  ", "- ", "[",  "]", "{",     "}",      ", ", "&a ",  "*a",
                                        "!x ",  "'",    "\"",    "|",  ">",  "? ", "#", "%",     "@",      "`",  "~",    "<<",
                                        "$",    "${A}", "---\n", "\t", "0",  "é",  "x", "null ", "router", ":",  "\r\n", "key"};
  std::mt19937 random(20240229);
  for (int round = 0; round < 3000; ++round) {
    std::string text;
    for (std::uint32_t i = random() % 40; i > 0; --i) text += pieces[random() % pieces.size()];
    folder.write("endpoints/blue.yml", text);
    EXPECT_NO_THROW((void)folder.load()) << text;
  }
}

TEST(Yaml, MayHoldSeveralDocumentsEachOfItsOwn) {
  const ConfigFolder folder;
  folder.remove("endpoints/endpoint.yml");
  folder.write("endpoints/blue.yml",
               std::string("---\n") + ConfigFolder::kEndpoint + "---\n" + ConfigFolder::kBlue + "...\n---\n");
  const absl::StatusOr<Config> config = folder.load();
  ASSERT_TRUE(config.ok()) << config.status().message();
  ASSERT_EQ(config->endpoints.size(), 1u);
  EXPECT_EQ(config->endpoints[0].line, 2);
  EXPECT_EQ(config->endpoints[0].deployments.at(0).line, 9);
}

TEST(Yaml, MayShareValuesByAliasAndMerge) {
  const ConfigFolder folder;
  folder.write("endpoints/blue.yml", R"(name: blue
endpoint_name: my-endpoint
properties: &settings {request_timeout_ms: 7, max_queue_wait_ms: 8}
request_settings: {<<: *settings, max_queue_wait_ms: 9}
readiness_probe: &probe {period: 4}
liveness_probe: *probe
router: {replicas: [10.0.0.1]}
)");
  const absl::StatusOr<Config> config = folder.load();
  ASSERT_TRUE(config.ok()) << config.status().message();
  const Deployment& deployment = config->endpoints.at(0).deployments.at(0);
  EXPECT_EQ(deployment.request_timeout, std::chrono::milliseconds(7));
  EXPECT_EQ(deployment.max_queue_wait, std::chrono::milliseconds(9)) << "the map's own value takes precedence";
  EXPECT_EQ(deployment.readiness_probe.period, std::chrono::seconds(4));
}

TEST(Yaml, MayHaveWindowsLineEndsAndAByteOrderMark) {
  const ConfigFolder folder;
  folder.write("endpoints/blue.yml", "\xef\xbb\xbfname: blue\r\nendpoint_name: my-endpoint\r\nrouter: {replicas: [a]}\r\n");
  EXPECT_EQ(folder.mistakes(), "");
}

TEST(Yaml, IsToldWithoutWhatCouldSteerATerminal) {
  const ConfigFolder folder;
  folder.write("endpoints/blue.yml", "name: \"\\e[31m\\n\"\nendpoint_name: my-endpoint\n\"\\e[2J\": 1\n");
  EXPECT_THAT(folder.mistakes(), HasSubstr("endpoints/blue.yml:1: name: `?[31m?` is not a name"));
  EXPECT_THAT(folder.mistakes(), HasSubstr("endpoints/blue.yml:3: ?[2J: unknown key"));
}

TEST(Yaml, IsToldOnWhatItsParserStumblesWithoutThat) {
  const ConfigFolder folder;
  folder.write("endpoints/blue.yml", "name: \"\\\n\"");
  folder.write("endpoints/green.yml", "name: \"\\");
  EXPECT_THAT(folder.mistakes(), HasSubstr("is not valid YAML: "));
  const std::string mistakes = folder.mistakes();
  EXPECT_TRUE(std::none_of(mistakes.begin(), mistakes.end(), [](char c) { return c != '\n' && c >= 0 && c < ' '; }))
      << mistakes;
}

}  // namespace
}  // namespace router::config::test
