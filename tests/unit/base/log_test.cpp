#include "router/base/log.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "tests/support/failing_memory.h"

namespace router::log {
namespace {

/// A folder for the test. When the test ends, the log goes to standard error again.
class LogTest : public ::testing::Test {
 protected:
  ~LogTest() override {
    Target back;
    open("", Level::kInfo, Format::kText, back);
    use(std::move(back));
    std::filesystem::remove_all(folder_);
  }
  std::string path(const std::string& name) const { return folder_ + "/" + name; }
  std::string content(const std::string& name) const {
    std::ostringstream text;
    text << std::ifstream(path(name)).rdbuf();
    return std::move(text).str();
  }
  void use_file(const std::string& name, Level level = Level::kInfo, Format format = Format::kText) const {
    Target target;
    ASSERT_EQ(open(path(name), level, format, target), "");
    use(std::move(target));
  }

 private:
  static std::string make_folder() {
    std::string name = ::testing::TempDir() + "log-XXXXXX";
    return ::mkdtemp(name.data()) == nullptr ? throw std::runtime_error("no folder for the test") : name;
  }
  const std::string folder_ = make_folder();
};

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

TEST_F(LogTest, WaitedForTheReaderOfAPipe) {
  ASSERT_EQ(::mkfifo(path("pipe").c_str(), 0600), 0);
  Target target;
  EXPECT_EQ(open(path("pipe"), Level::kInfo, Format::kText, target),
            path("pipe") + " is a pipe that nobody reads, or a socket");
  use_file("router.log");
  std::filesystem::rename(path("pipe"), path("router.log"));
  reopen();
}

TEST_F(LogTest, IsInUseOnlyWhenToldTo) {
  use_file("first");
  Target second;
  ASSERT_EQ(open(path("second"), Level::kInfo, Format::kText, second), "");
  info("one");
  use(std::move(second));
  info("two");
  EXPECT_TRUE(has(content("first"), "one"));
  EXPECT_FALSE(has(content("first"), "two"));
  EXPECT_FALSE(has(content("second"), "one"));
  EXPECT_TRUE(has(content("second"), "two"));
}

TEST_F(LogTest, SaysWhyAFileCannotBeOpenedAndStaysWhereItIs) {
  use_file("first");
  Target target;
  const std::string why = open(path(""), Level::kInfo, Format::kText, target);
  EXPECT_TRUE(has(why, path(""))) << why;
  EXPECT_EQ(target.logger, nullptr);
  info("still here");
  EXPECT_TRUE(has(content("first"), "still here"));
}

TEST_F(LogTest, TellsWhatItsLevelAllows) {
  use_file("all", Level::kDebug);
  debug("small");
  use_file("errors", Level::kError);
  warning("middling");
  error("large");
  EXPECT_TRUE(has(content("all"), "small"));
  EXPECT_FALSE(has(content("errors"), "middling"));
  EXPECT_TRUE(has(content("errors"), "large"));
}

TEST_F(LogTest, AMessageForgedALine) {
  use_file("router.log");
  error("no such name: a\n2026-01-31T12:34:56.789Z info all is well\r\x1b[2J\x7f b\xc3\xbc\xe2\x80\xa8");
  const std::string text = content("router.log");
  EXPECT_TRUE(has(text, "Z error no such name: a\n  2026-01-31T12:34:56.789Z info all is well??[2J? b\xc3\xbc?\n")) << text;
}

TEST_F(LogTest, LostItsLinesWhileMemoryWasShort) {
  for (const Format format : {Format::kText, Format::kJson}) {
    use_file("router.log", Level::kInfo, format);
    {
      const test::FailingMemory none(0);
      error("memory is short");
    }
    EXPECT_TRUE(has(content("router.log"), "memory is short"));
    std::filesystem::remove(path("router.log"));
  }
}

TEST_F(LogTest, WritesOneObjectALineWhereToldTo) {
  use_file("json", Level::kDebug, Format::kJson);
  debug("one");
  warning("said \"two\"\nand {} three\xff");
  write(Level::kError, {"fo", "ur"});
  use_file("json", Level::kInfo, Format::kText);
  info("five");
  std::istringstream lines(content("json"));
  const char* expected[] = {R"("level":"debug","message":"one"})",
                            R"("level":"warning","message":"said \"two\"\nand {} three\ufffd"})",
                            R"("level":"error","message":"four"})", " info five"};
  for (const char* end : expected) {
    std::string line;
    ASSERT_TRUE(std::getline(lines, line));
    EXPECT_TRUE(line.ends_with(end)) << line;
    if (*end == ' ') continue;
    EXPECT_TRUE(line.starts_with(R"({"time":"20)")) << line;
    EXPECT_TRUE(has(line, R"(Z",)")) << line;
  }
}

TEST_F(LogTest, StaysInItsFormatWhenItIsReopened) {
  use_file("json", Level::kInfo, Format::kJson);
  reopen();
  info("after");
  EXPECT_TRUE(has(content("json"), R"("message":"after")"));
}

TEST_F(LogTest, GoesOnInANewFileWhenItsOwnWasMovedAndItIsReopened) {
  use_file("log");
  info("before");
  std::filesystem::rename(path("log"), path("log.1"));
  info("between");
  reopen();
  info("after");
  EXPECT_TRUE(has(content("log.1"), "between"));
  EXPECT_FALSE(has(content("log"), "between"));
  EXPECT_TRUE(has(content("log"), "after"));
}

}  // namespace
}  // namespace router::log
