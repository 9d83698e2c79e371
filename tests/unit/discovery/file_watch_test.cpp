#include "router/discovery/file_watch.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <new>
#include <string>

#include "tests/support/test_shard.h"

namespace router::discovery {
namespace {

namespace fs = std::filesystem;
using test::TestShard;

class FileWatchTest : public ::testing::Test {
 protected:
  FileWatchTest() {
    std::string pattern = fs::temp_directory_path() / "watch-XXXXXX";
    folder = ::mkdtemp(pattern.data());
  }
  ~FileWatchTest() override { fs::remove_all(folder); }

  std::string path(const std::string& name) const { return folder / name; }
  std::string write(const std::string& name, const std::string& content) const {
    std::ofstream(path(name)) << content;
    return path(name);
  }
  void ticks(int count) {
    for (int i = 0; i < count; ++i) shard.advance(FileWatch::kPeriod);
  }
  /// One look sees the change, the next one finds it settled.
  int changes_after_a_while() {
    ticks(4);
    return std::exchange(changes, 0);
  }

  TestShard shard;
  fs::path folder;
  int changes = 0;
  std::function<void()> on_change = [] {};
  FileWatch watch{shard, [this] {
                    ++changes;
                    on_change();
                  }};
};

TEST_F(FileWatchTest, IsQuietWhileNothingChanges) {
  watch.watch({write("a", "1"), path("absent"), folder});
  EXPECT_EQ(changes_after_a_while(), 0);
}

TEST_F(FileWatchTest, TellsOnceThatAFileHasChanged) {
  watch.watch({write("a", "1")});
  write("a", "22");
  EXPECT_EQ(changes_after_a_while(), 1);
  EXPECT_EQ(changes_after_a_while(), 0);
}

TEST_F(FileWatchTest, TellsAChangeWithinASecond) {
  watch.watch({write("a", "1")});
  write("a", "22");
  ticks(3);
  EXPECT_EQ(changes, 1);
}

TEST_F(FileWatchTest, WaitsUntilTheChangeStandsStill) {
  watch.watch({write("a", "1")});
  for (int size = 2; size < 10; ++size) {
    write("a", std::string(static_cast<std::size_t>(size), 'x'));
    ticks(1);
  }
  EXPECT_EQ(changes, 0);
  ticks(1);
  EXPECT_EQ(changes, 1);
}

TEST_F(FileWatchTest, SeesAFileAppearAndVanish) {
  watch.watch({path("a")});
  write("a", "");
  EXPECT_EQ(changes_after_a_while(), 1);
  fs::remove(path("a"));
  EXPECT_EQ(changes_after_a_while(), 1);
}

TEST_F(FileWatchTest, SeesAChangeThatKeepsSizeAndModificationTime) {
  watch.watch({write("a", "1")});
  const auto time = fs::last_write_time(path("a"));
  write("a", "2");
  fs::last_write_time(path("a"), time);
  EXPECT_EQ(changes_after_a_while(), 1);
}

TEST_F(FileWatchTest, SeesThatAFileBecomesReadable) {
  watch.watch({write("a", "1")});
  ASSERT_EQ(::chmod(path("a").c_str(), 0600), 0);
  EXPECT_EQ(changes_after_a_while(), 1);
}

TEST_F(FileWatchTest, FollowsTheLinkSwapOfAMountedVolume) {
  fs::create_directory(path("..1"));
  fs::create_directory(path("..2"));
  const std::string first = write("..1/key", "same size");
  const std::string second = write("..2/key", "SAME SIZE");
  fs::last_write_time(second, fs::last_write_time(first));
  fs::create_directory_symlink("..1", path("..data"));
  fs::create_symlink("..data/key", path("key"));
  watch.watch({path("key")});
  fs::create_directory_symlink("..2", path("..next"));
  fs::rename(path("..next"), path("..data"));
  EXPECT_EQ(changes_after_a_while(), 1);
}

TEST_F(FileWatchTest, OfAFolderSeesNamesOnly) {
  write("a", "1");
  watch.watch({folder});
  write("a", "22");
  EXPECT_EQ(changes_after_a_while(), 0);
  write("b", "1");
  EXPECT_EQ(changes_after_a_while(), 1);
  fs::rename(path("b"), path("c"));
  EXPECT_EQ(changes_after_a_while(), 1);
  fs::remove_all(folder);
  EXPECT_EQ(changes_after_a_while(), 1);
}

TEST_F(FileWatchTest, WatchesTheNewListOnly) {
  watch.watch({write("a", "1")});
  watch.watch({write("b", "1"), path("b")});
  write("a", "22");
  EXPECT_EQ(changes_after_a_while(), 0);
  write("b", "22");
  EXPECT_EQ(changes_after_a_while(), 1);
}

TEST_F(FileWatchTest, MissesNoChangeThatComesWhileTheFilesAreRead) {
  watch.watch({write("a", "1")});
  on_change = [this] {
    on_change = [this] { watch.watch({path("a")}); };
    write("a", "333");  // the reader has read the file just before
    watch.watch({path("a")});
  };
  write("a", "22");
  EXPECT_EQ(changes_after_a_while(), 2);
  EXPECT_EQ(changes_after_a_while(), 0);
}

TEST_F(FileWatchTest, MissesNoChangeDuringAReadingThatWasAnnounced) {
  watch.watch({write("a", "1")});
  write("a", "22");
  watch.before_reading();
  watch.watch({path("a")});
  EXPECT_EQ(changes_after_a_while(), 0) << "this version has been read";
  watch.before_reading();
  write("a", "333");
  watch.watch({path("a")});
  EXPECT_EQ(changes_after_a_while(), 1);
}

TEST_F(FileWatchTest, TellsAChangeAgainWhoseReadingFoundNoMemory) {
  watch.watch({write("a", "1")});
  on_change = [this] {
    watch.before_reading();
    if (changes == 1) throw std::bad_alloc();
  };
  write("a", "22");
  EXPECT_EQ(changes_after_a_while(), 2);
  EXPECT_EQ(changes_after_a_while(), 0);
}

TEST_F(FileWatchTest, TellsAChangeThatAnAnnouncedReadingDidNotGetToRead) {
  watch.watch({write("a", "1")});
  write("a", "22");
  watch.before_reading();  // reading ends with an exception
  EXPECT_EQ(changes_after_a_while(), 1);
}

}  // namespace
}  // namespace router::discovery
