#include "router/files/read_file.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

namespace router::files {
namespace {

class ReadFile : public ::testing::Test {
 protected:
  ReadFile() {
    std::string pattern = ::testing::TempDir() + "read_file.XXXXXX";
    folder = ::mkdtemp(pattern.data());
  }
  ~ReadFile() override { std::filesystem::remove_all(folder); }
  std::string write(const std::string& text) const {
    std::ofstream(folder / "file") << text;
    return folder / "file";
  }
  std::filesystem::path folder;
};

TEST_F(ReadFile, ReadsTheWholeFileThroughLinks) {
  const std::string text(100'000, 'x');
  std::filesystem::create_symlink(write(text), folder / "link");
  const FileText read = read_file(folder / "link", text.size());
  EXPECT_EQ(read.mistake, "");
  EXPECT_EQ(read.text, text);
  const FileText empty = read_file(write(""), 1);
  EXPECT_EQ(empty.text + empty.mistake, "");
}

TEST_F(ReadFile, RefusesOneByteMoreThanTheBound) {
  EXPECT_EQ(read_file(write("12345"), 4).mistake, "is larger than 4 bytes");
  EXPECT_EQ(read_file(write("1234"), 4).text, "1234");
}

TEST_F(ReadFile, FilledTheMemoryWithAFileOfHolesOrWithoutASize) {
  const std::string file = write("");
  std::filesystem::resize_file(file, std::uintmax_t{1} << 40);
  EXPECT_EQ(read_file(file, 1 << 20).mistake, "is larger than 1048576 bytes");
  EXPECT_EQ(read_file("/proc/self/maps", 16).mistake, "is larger than 16 bytes") << "its reported size is 0";
  EXPECT_NE(read_file("/proc/self/maps", 1 << 20).text, "");
}

TEST_F(ReadFile, WaitedForTheWriterOfAPipe) {
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  EXPECT_EQ(read_file(folder / "pipe", 100).mistake, "is not a regular file");
}

TEST_F(ReadFile, ReadADeviceWithoutEnd) {
  EXPECT_EQ(read_file("/dev/zero", 100).mistake, "is not a regular file");
  EXPECT_EQ(read_file("/dev/null", 100).mistake, "is not a regular file");
}

TEST_F(ReadFile, TookASocketForAFileThatCannotBeRead) {
  const int number = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = folder / "socket";
  ASSERT_LT(path.size(), sizeof address.sun_path);
  std::memcpy(address.sun_path, path.c_str(), path.size());
  ASSERT_EQ(::bind(number, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  EXPECT_EQ(read_file(path, 100).mistake, "is not a regular file");
  ::close(number);
}

TEST_F(ReadFile, TellsWhyThereIsNone) {
  EXPECT_EQ(read_file(folder / "none", 100).mistake, "cannot be read: No such file or directory");
  EXPECT_EQ(read_file(folder, 100).mistake, "is a folder; a file is expected");
}

}  // namespace
}  // namespace router::files
