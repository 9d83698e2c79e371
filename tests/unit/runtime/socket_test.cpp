#include "router/runtime/socket.h"

#include <gtest/gtest.h>
#include <sys/uio.h>

#include <array>
#include <string>

#include "tests/support/loopback.h"
#include "tests/support/test_shard.h"

namespace router::runtime {
namespace {

using test::Descriptor;
using test::TestShard;

class SocketTest : public ::testing::Test {
 protected:
  SocketTest() {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) throw std::runtime_error("socketpair");
    socket = Socket(shard, ends[0]);
    far = Descriptor(ends[1]);
  }
  Task<bool> wait() { co_return co_await wakeup.wait(kNever); }
  /// Writes until the kernel takes no more. Returns the number of bytes.
  std::size_t fill() const {
    const std::string piece(64 * 1024, 'x');
    std::size_t sum = 0;
    for (IoResult sent = socket.write(piece); sent.bytes > 0; sent = socket.write(piece)) sum += sent.bytes;
    return sum;
  }

  TestShard shard;
  Wakeup wakeup{shard};
  Socket socket;
  Descriptor far;
  std::array<char, 16> bytes{};
};

TEST_F(SocketTest, TellsNothingHereFromSomethingAndFromTheEnd) {
  EXPECT_EQ(socket.read(bytes).state, IoState::kBlocked);
  far.send("abc");
  const IoResult some = socket.read(bytes);
  EXPECT_EQ(some.state, IoState::kDrained);
  EXPECT_EQ(std::string_view(bytes.data(), some.bytes), "abc");
  far.send(std::string(16, 'x'));
  EXPECT_EQ(socket.read(bytes).state, IoState::kDone) << "the buffer was filled, so there may be more bytes";
  far.close();
  EXPECT_EQ(socket.read(bytes).state, IoState::kEof);
}

TEST_F(SocketTest, WakesWhenSomethingCanBeRead) {
  socket.set_waker(&wakeup);
  socket.arm_read();
  auto waiting = shard.start(wait());
  EXPECT_FALSE(waiting.done());
  EXPECT_TRUE(socket.read_armed());
  far.send("x");
  shard.poll();
  EXPECT_TRUE(waiting.done());
  EXPECT_FALSE(socket.read_armed());
}

TEST_F(SocketTest, WakesForWhatHasArrivedBeforeItWasArmed) {
  far.send("x");
  shard.poll();
  socket.set_waker(&wakeup);
  socket.arm_read();
  auto waiting = shard.start(wait());
  EXPECT_TRUE(waiting.done());
}

TEST_F(SocketTest, WritesWhatTheKernelTakesAndWakesWhenItTakesMore) {
  const std::size_t filled = fill();
  EXPECT_EQ(socket.write("more").state, IoState::kBlocked);
  socket.set_waker(&wakeup);
  socket.arm_write();
  auto waiting = shard.start(wait());
  EXPECT_FALSE(waiting.done());
  EXPECT_EQ(far.received().size(), filled);
  shard.poll();
  EXPECT_TRUE(waiting.done());
  EXPECT_EQ(socket.write("more").state, IoState::kDone);
}

TEST_F(SocketTest, WritesSeveralPiecesAsOne) {
  const std::string head = "head ";
  const std::string body = "body";
  const std::array<iovec, 2> pieces{iovec{const_cast<char*>(head.data()), head.size()},
                                    iovec{const_cast<char*>(body.data()), body.size()}};
  EXPECT_EQ(socket.write(pieces).bytes, 9u);
  EXPECT_EQ(far.received(), "head body");
}

TEST_F(SocketTest, FailsToWriteToAPeerThatIsGoneWithoutASignal) {
  far.close();
  const IoResult sent = socket.write("x");
  EXPECT_EQ(sent.state, IoState::kFailed);
  EXPECT_EQ(sent.system_error, EPIPE);
}

TEST_F(SocketTest, WakesNobodyAfterItWasClosed) {
  socket.set_waker(&wakeup);
  socket.arm_read();
  auto waiting = shard.start(wait());
  socket.close();
  shard.poll();
  EXPECT_FALSE(waiting.done());
  EXPECT_TRUE(far.at_end());
  wakeup.wake();
}

TEST_F(SocketTest, MovesToAnotherShardWithoutClosing) {
  socket.set_waker(&wakeup);
  socket.arm_read();
  shard.poll();
  TestShard other(1);
  Socket moved(other, socket.release());
  shard.poll();
  EXPECT_FALSE(socket.is_open());
  far.send("x");
  Wakeup there(other);
  moved.set_waker(&there);
  moved.arm_read();
  const auto wait_there = [](Wakeup& at) -> Task<bool> { co_return co_await at.wait(kNever); };
  EXPECT_TRUE(other.run(wait_there(there)));
  EXPECT_EQ(moved.read(bytes).bytes, 1u);
}

TEST_F(SocketTest, SeesTheEndBehindBytesThatWereNotRead) {
  EXPECT_FALSE(socket.peer_has_ended());
  far.send("unread");
  far.close();
  EXPECT_TRUE(socket.peer_has_ended());
  EXPECT_EQ(socket.read(bytes).bytes, 6u);
}

TEST(Connecting, BecomesWritableWhenConnectedOrRefused) {
  TestShard shard;
  test::LoopbackListener listener;
  int error = 0;
  const Socket good = start_connect(shard, listener.address().bytes(), error);
  EXPECT_TRUE(good.is_open());
  EXPECT_TRUE(test::turn_until(shard, [&] { return good.is_connected(error); }));
  listener.close();
  const Socket refused = start_connect(shard, listener.address().bytes(), error);
  const auto failed = [&] { return !refused.is_open() || (!refused.is_connected(error) && error != 0); };
  EXPECT_TRUE(test::turn_until(shard, failed));
  EXPECT_EQ(error, ECONNREFUSED);
}

TEST(Resetting, LetsThePeerSeeThatTheStreamWasCut) {
  TestShard shard;
  const test::LoopbackListener listener;
  int error = 0;
  Socket socket = start_connect(shard, listener.address().bytes(), error);
  ASSERT_TRUE(test::turn_until(shard, [&] { return socket.is_connected(error); }));
  const Descriptor peer = listener.accept();
  ASSERT_TRUE(peer);
  socket.reset();
  char byte;
  EXPECT_EQ(::recv(peer.get(), &byte, 1, MSG_DONTWAIT), -1);
  EXPECT_EQ(errno, ECONNRESET);
}

}  // namespace
}  // namespace router::runtime
