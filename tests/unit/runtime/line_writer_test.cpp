#include "router/runtime/line_writer.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <sstream>
#include <thread>

#include "tests/support/failing_memory.h"

namespace router::runtime {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

/// A folder that is removed at the end of the test.
class Folder {
 public:
  Folder() { EXPECT_NE(::mkdtemp(path_.data()), nullptr); }
  ~Folder() { std::filesystem::remove_all(path_); }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_ = testing::TempDir() + "lines-XXXXXX";
};

std::string content_of(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

std::unique_ptr<LineWriter> open(const std::string& path, std::size_t shards = 1, LineWriterOptions options = {}) {
  auto writer = LineWriter::open(path, shards, options);
  EXPECT_TRUE(writer.ok()) << writer.status();
  return std::move(*writer);
}

/// Reads from a pipe until `enough` is true for all that was read, or nothing comes for ten seconds.
template <class Enough>
std::string read_until(int descriptor, const Enough& enough) {
  std::string text;
  char piece[65536];
  while (!enough(text)) {
    pollfd ask{descriptor, POLLIN, 0};
    if (::poll(&ask, 1, 10'000) <= 0) break;
    const ssize_t got = ::read(descriptor, piece, sizeof piece);
    if (got <= 0) break;
    text.append(piece, static_cast<std::size_t>(got));
  }
  return text;
}

TEST(LineWriter, WritesEverythingBeforeItEnds) {
  const Folder folder;
  {
    const auto writer = open(folder / "log", 2);
    EXPECT_TRUE(writer->write(0, "one\n"));
    EXPECT_TRUE(writer->write(1, "two\n"));
  }
  EXPECT_EQ(content_of(folder / "log"), "one\ntwo\n");
}

TEST(LineWriter, AppendsToWhatIsThere) {
  const Folder folder;
  std::ofstream(folder / "log") << "before\n";
  open(folder / "log")->write(0, "after\n");
  EXPECT_EQ(content_of(folder / "log"), "before\nafter\n");
}

TEST(LineWriter, LeavesNoDescriptorOpenForWhichThereIsNoMemory) {
  const auto open_descriptors = [] {
    const std::filesystem::directory_iterator entries("/proc/self/fd");
    return std::distance(begin(entries), end(entries));
  };
  const auto before = open_descriptors();
  std::size_t n = 0;
  for (bool failed = true; failed; ++n) {
    {
      const test::FailingMemory memory(n, 1);
      try {
        LineWriter::open("/dev/null", 2).status().IgnoreError();
      } catch (const std::bad_alloc&) {  // the exception is expected
      }
      failed = memory.failed() > 0;
    }
    ASSERT_EQ(open_descriptors(), before) << "allocation " << n;
  }
  EXPECT_GT(n, 3u);
}

TEST(LineWriter, NamesThePathThatItCannotOpen) {
  const Folder folder;
  const auto writer = LineWriter::open(folder / "none/log", 1);
  ASSERT_FALSE(writer.ok());
  EXPECT_THAT(std::string(writer.status().message()), HasSubstr(folder / "none/log"));
}

TEST(LineWriter, KeepsTheLinesOfManyShardsWholeAndInOrder) {
  const Folder folder;
  constexpr int kShards = 4, kLines = 5000;
  std::uint64_t dropped = 0;
  std::array<std::uint64_t, kShards> refused{};
  {
    const auto writer = open(folder / "log", kShards, {.ring_bytes = 4096, .wake_every = 1ms});
    std::vector<std::thread> shards;
    for (int shard = 0; shard < kShards; ++shard) {
      shards.emplace_back([&, shard] {
        for (int i = 0; i < kLines; ++i) {
          const std::string line = std::to_string(shard) + " " + std::to_string(i) + std::string(i % 90, 'x') + "!\n";
          if (!writer->write(static_cast<std::size_t>(shard), line)) ++refused[static_cast<std::size_t>(shard)];
        }
      });
    }
    for (std::thread& shard : shards) shard.join();
    dropped = writer->dropped();
  }
  EXPECT_EQ(dropped, std::accumulate(refused.begin(), refused.end(), std::uint64_t{0}));
  const std::vector<std::string> lines = lines_of(content_of(folder / "log"));
  EXPECT_EQ(lines.size(), kShards * kLines - dropped);
  std::array<int, kShards> last;
  last.fill(-1);
  for (const std::string& line : lines) {
    int shard = -1, number = -1;
    ASSERT_EQ(std::sscanf(line.c_str(), "%d %d", &shard, &number), 2) << line;
    ASSERT_EQ(line.back(), '!') << line;
    ASSERT_TRUE(shard >= 0 && shard < kShards) << line;
    EXPECT_GT(number, last[static_cast<std::size_t>(shard)]);
    last[static_cast<std::size_t>(shard)] = number;
  }
}

TEST(LineWriter, DropsALineThatIsLargerThanTheRing) {
  const Folder folder;
  const auto writer = open(folder / "log", 1, {.ring_bytes = 4096});
  EXPECT_FALSE(writer->write(0, std::string(4097, 'x')));
  EXPECT_EQ(writer->dropped(), 1u);
}

class LineWriterPipe : public testing::Test {
 protected:
  LineWriterPipe() {
    ::mkfifo(path.c_str(), 0600);
    reader = ::open(path.c_str(), O_RDONLY | O_NONBLOCK);
    ::fcntl(reader, F_SETPIPE_SZ, 4096);
  }
  ~LineWriterPipe() override {
    if (reader >= 0) ::close(reader);
  }
  /// Writes lines until one is refused. Returns how many were accepted.
  int fill(LineWriter& writer) {
    int taken = 0;
    while (writer.write(0, "line " + std::to_string(taken) + "\n")) ++taken;
    return taken;
  }

  const Folder folder;
  const std::string path = folder / "pipe";
  int reader = -1;
};

TEST_F(LineWriterPipe, DropsAndCountsWhenTheReaderIsTooSlowAndLosesNothingElse) {
  const auto writer = open(path, 1, {.ring_bytes = 16384, .wake_every = 1ms});
  const int taken = fill(*writer);
  EXPECT_GE(writer->dropped(), 1u);
  const std::string last = "line " + std::to_string(taken - 1) + "\n";
  const std::string text = read_until(reader, [&](const std::string& seen) { return seen.find(last) != std::string::npos; });
  const std::vector<std::string> lines = lines_of(text);
  ASSERT_EQ(lines.size(), static_cast<std::size_t>(taken));
  for (int i = 0; i < taken; ++i) EXPECT_EQ(lines[static_cast<std::size_t>(i)], "line " + std::to_string(i));
}

TEST_F(LineWriterPipe, EndsThoughNobodyReads) {
  auto writer = open(path, 1, {.ring_bytes = 16384, .wake_every = 1ms, .last_flush_max = 20ms});
  fill(*writer);
  writer.reset();
}

TEST_F(LineWriterPipe, SurvivesAReaderThatLeavesAndGoesOnWithTheNextOne) {
  const auto writer = open(path, 1, {.ring_bytes = 16384, .wake_every = 1ms});
  const int keeper = reader;
  ::close(keeper);
  reader = -1;
  writer->write(0, "while nobody reads\n");
  reader = ::open(path.c_str(), O_RDONLY | O_NONBLOCK);
  // A FIFO that no process has open for writing reads as ended. The writer keeps this one open.
  const std::string text = read_until(reader, [](const std::string& seen) { return seen.find('\n') != std::string::npos; });
  EXPECT_EQ(text, "while nobody reads\n");
}

TEST(LineWriter, KeepsLinesAndEndsWhenTheDiskIsFull) {
  auto writer = open("/dev/full", 1, {.ring_bytes = 4096, .wake_every = 1ms});
  while (writer->write(0, "nobody will read this\n")) continue;
  EXPECT_EQ(writer->dropped(), 1u);
  writer.reset();
}

TEST(LineWriter, OpensTheFileAgainForRotation) {
  const Folder folder;
  auto writer = open(folder / "log", 1, {.wake_every = 1ms});
  std::filesystem::rename(folder / "log", folder / "log.1");
  writer->reopen();
  while (!std::filesystem::exists(folder / "log")) std::this_thread::yield();
  writer->write(0, "new\n");
  writer.reset();
  EXPECT_EQ(content_of(folder / "log.1"), "");
  EXPECT_EQ(content_of(folder / "log"), "new\n");
}

TEST(LineWriter, StaysWithTheOldFileWhenTheNewOneCannotBeOpened) {
  const Folder folder;
  std::filesystem::create_directory(folder / "logs");
  auto writer = open(folder / "logs/log", 1, {.wake_every = 1ms});
  std::filesystem::rename(folder / "logs", folder / "moved");
  writer->reopen();
  writer->write(0, "still here\n");
  writer.reset();
  EXPECT_EQ(content_of(folder / "moved/log"), "still here\n");
}

TEST_F(LineWriterPipe, BeginsANewFileWithAWholeLine) {
  auto writer = open(path, 1, {.ring_bytes = 16384, .wake_every = 1ms});
  const std::string long_line = std::string(10'000, 'x') + "\n";  // more than the pipe takes: the line is cut
  writer->write(0, long_line);
  pollfd ask{reader, POLLIN, 0};
  ASSERT_EQ(::poll(&ask, 1, 10'000), 1);
  ::unlink(path.c_str());
  writer->reopen();
  while (!std::filesystem::exists(path)) std::this_thread::yield();
  writer->write(0, "whole\n");
  writer.reset();
  EXPECT_EQ(content_of(path), "whole\n");
}

/// Writes `line` to standard output, which is `ends[1]`, and returns what arrives at `ends[0]`. Closes both.
std::string written_to_stdout(const int (&ends)[2], std::string_view line) {
  std::fflush(stdout);
  const int stdout_before = ::dup(STDOUT_FILENO);
  ::dup2(ends[1], STDOUT_FILENO);
  open("stdout")->write(0, line);
  EXPECT_EQ(::fcntl(STDOUT_FILENO, F_GETFL) & O_NONBLOCK, 0) << "other processes write to it, too";
  ::dup2(stdout_before, STDOUT_FILENO);
  ::close(stdout_before);
  ::close(ends[1]);
  std::string text = read_until(ends[0], [](const std::string&) { return false; });
  ::close(ends[0]);
  return text;
}

TEST(LineWriter, WritesToStandardOutputThatIsAPipe) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  EXPECT_EQ(written_to_stdout(ends, "into a pipe\n"), "into a pipe\n");
}

TEST(LineWriter, WritesToStandardOutputThatIsASocketAsUnderSystemd) {
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  EXPECT_EQ(written_to_stdout(ends, "into a socket\n"), "into a socket\n");
}

TEST(LineWriter, WritesToStandardOutputThatIsAFileWithoutOverwritingIt) {
  const Folder folder;
  const int file = ::open((folder / "out").c_str(), O_RDWR | O_CREAT, 0600);
  ASSERT_EQ(::write(file, "before\n", 7), 7);
  const int ends[2] = {::open((folder / "out").c_str(), O_RDONLY), file};
  EXPECT_EQ(written_to_stdout(ends, "after\n"), "before\nafter\n");
}

}  // namespace
}  // namespace router::runtime
