#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "tests/unit/admin/operator_server_world.h"

namespace router::admin {
namespace {

using testing::HasSubstr;

class OperatorServerUnix : public OperatorServerTest {
 protected:
  OperatorServerUnix() { EXPECT_NE(::mkdtemp(folder.data()), nullptr); }
  ~OperatorServerUnix() override { std::filesystem::remove_all(folder); }

  std::string folder = testing::TempDir() + "admin-XXXXXX";
  std::string socket_path() const { return folder + "/socket"; }
};

TEST_F(OperatorServerUnix, ServesOurUserAloneAndRemovesItsPath) {
  listen({.address = "unix:" + socket_path()});
  struct stat about {};
  ASSERT_EQ(::stat(socket_path().c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 0777, 0600u);
  EXPECT_EQ(OperatorClient(shard, socket_path()).get("/hello").status, 200);
  server.reset();
  EXPECT_FALSE(std::filesystem::exists(socket_path()));
}

TEST_F(OperatorServerUnix, TakesOverAPathThatNobodyListensOn) {
  const int dead = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  socket_path().copy(name.sun_path, sizeof name.sun_path - 1);
  ASSERT_EQ(::bind(dead, reinterpret_cast<const sockaddr*>(&name), sizeof name), 0);
  ::close(dead);
  listen({.address = "unix:" + socket_path()});
  EXPECT_EQ(OperatorClient(shard, socket_path()).get("/hello").status, 200);
}

TEST_F(OperatorServerUnix, LeavesTheSocketOfALivingProcessAlone) {
  listen({.address = "unix:" + socket_path()});
  OperatorServer other(shard, {.address = "unix:" + socket_path()}, {});
  EXPECT_THAT(std::string(other.start().message()), HasSubstr("another process listens"));
  EXPECT_EQ(OperatorClient(shard, socket_path()).get("/hello").status, 200);
}

TEST_F(OperatorServerUnix, RemovesNothingThatIsNoSocket) {
  std::ofstream(socket_path()) << "precious";
  OperatorServer other(shard, {.address = "unix:" + socket_path()}, {});
  EXPECT_FALSE(other.start().ok());
  EXPECT_TRUE(std::filesystem::exists(socket_path()));
}

TEST_F(OperatorServerUnix, DoesNotRemoveThePathOfItsSuccessor) {
  listen({.address = "unix:" + socket_path()});
  std::filesystem::remove(socket_path());
  OperatorServer successor(shard, {.address = "unix:" + socket_path()}, routes());
  ASSERT_TRUE(successor.start().ok());
  server.reset();
  EXPECT_EQ(OperatorClient(shard, socket_path()).get("/hello").status, 200);
}

}  // namespace
}  // namespace router::admin
