#include <openssl/err.h>

#include <new>
#include <thread>

#include "tests/support/failing_memory.h"
#include "tests/unit/tls/peers.h"

namespace router::tls::test {
namespace {

using router::test::FailingMemory;

/// Lets the n-th allocation inside the router's calls fail, once.
class NthFails {
 public:
  static constexpr std::size_t kNever = static_cast<std::size_t>(-1);
  explicit NthFails(std::size_t n) : left_(n) {}
  /// Returns the result of the call; a failure if it throws.
  template <class F>
  IoResult operator()(F call) {
    const FailingMemory memory(left_, met_ ? 0 : 1);
    IoResult result;
    try {
      result = call();
    } catch (const std::bad_alloc&) {
      result = {IoState::kFailed, 0, 0, "thrown"};  // GCC 12 lets the call write into it before it throws
    }
    left_ -= std::min(left_, memory.requests());
    met_ = met_ || memory.failed() > 0;
    return result;
  }
  bool met() const { return met_; }

 private:
  std::size_t left_;
  bool met_ = false;
};

/// Writes without an allocation of its own.
IoResult write(Stream& stream, std::string_view first, std::string_view second) {
  const std::array<iovec, 2> parts{iovec{const_cast<char*>(first.data()), first.size()},
                                   iovec{const_cast<char*>(second.data()), second.size()}};
  return stream.write(parts);
}

/// The router's server and its client. The thread that uses it must create it.
struct Connection {
  Connection(TestShard& shard, ServerContext& context)
      : stream(runtime::Socket(shard, ends[0]), context), peer(ends[1], client.get(), false) {
    SSL_set_tlsext_host_name(peer.ssl(), "LocalHost");
  }
  IoResult shake(NthFails& memory) {
    IoResult result;
    for (int turn = 0; turn < 10; ++turn) {
      result = memory([&] { return stream.handshake(); });
      peer.shake();
      if (result.state == IoState::kFailed || (result.state == IoState::kDone && peer.shaken())) break;
    }
    return result;
  }
  /// The bytes that the peer has received. A damaged record fails the test.
  std::string received() {
    ERR_clear_error();
    std::string got = peer.read();
    EXPECT_EQ(ERR_peek_error(), 0u) << "the peer received bytes that were not sent to it";
    return got;
  }

  Owned<SSL_CTX> client{SSL_CTX_new(TLS_client_method())};
  std::array<int, 2> ends = socket_pair();
  Stream stream;
  RawPeer peer;
};

/// Runs `scene` for each n until all its allocations succeed, each time on a new thread, whose buffers have no memory yet.
template <class Scene>
std::size_t for_every_allocation(Scene scene) {
  static_cast<void>(localhost());
  for (std::size_t n = 0;; ++n) {
    bool met = false;
    std::thread([&] {
      SCOPED_TRACE(n);
      NthFails memory(n);
      TestShard shard;
      const std::shared_ptr<ServerContext> context = server_context({localhost()});
      scene(memory, shard, *context);
      met = memory.met();
    }).join();
    if (!met || ::testing::Test::HasFailure()) return n;
  }
}

TEST(TlsMemory, WhenItIsShortEndsOneConnectionAndSendsNothingOfItToAnother) {
  const std::string head(300, 'h');
  const std::string body(40000, 'b');
  const std::size_t allocations = for_every_allocation([&](NthFails& memory, TestShard& shard, ServerContext& context) {
    Connection first(shard, context);
    Connection second(shard, context);
    NthFails enough(NthFails::kNever);
    IoResult result = first.shake(memory);
    if (result.state == IoState::kDone) {
      result = memory([&] { return write(first.stream, head, body); });
    }
    EXPECT_EQ(result.state == IoState::kFailed, memory.met()) << result.cause;
    ASSERT_EQ(second.shake(enough).state, IoState::kDone);
    EXPECT_EQ(write(second.stream, "this is for the second", {}).state, IoState::kDone);
    EXPECT_EQ(second.received(), "this is for the second");
    const std::string got = first.received();
    EXPECT_TRUE((head + body).starts_with(got));
    if (!memory.met()) {
      EXPECT_EQ(got, head + body);
      return;
    }
    if (write(first.stream, "more", {}).state == IoState::kDone) {
      EXPECT_EQ(got + first.received(), "more") << "memory failed before the encryption";
      return;
    }
    std::array<char, 10> bytes;
    EXPECT_EQ(first.stream.read(bytes).state, IoState::kFailed) << "the stream has failed for good";
    first.stream.shutdown_write();
    EXPECT_EQ(first.peer.receive(), "");
  });
  EXPECT_GT(allocations, 3u);
}

TEST(TlsMemory, WhenItIsShortSendsNothingTwiceToAPeerThatReadsSlowly) {
  const std::string body(600'000, 'b');
  const std::size_t allocations = for_every_allocation([&](NthFails& memory, TestShard& shard, ServerContext& context) {
    Connection slow(shard, context);
    NthFails enough(NthFails::kNever);
    ASSERT_EQ(slow.shake(enough).state, IoState::kDone);
    std::string got;
    std::string_view left = body;
    for (int turn = 0; turn < 100; ++turn) {
      const IoResult wrote = memory([&] { return write(slow.stream, left.substr(0, 200'000), {}); });
      if (wrote.state == IoState::kFailed) {
        got += slow.received();
        write(slow.stream, {}, {});  // flushes the records that wait inside, if the stream may still send
        break;
      }
      left.remove_prefix(wrote.bytes);
      if (wrote.state == IoState::kBlocked) got += slow.received();
      if (left.empty() && wrote.state == IoState::kDone) break;
    }
    got += slow.received();
    EXPECT_TRUE(body.starts_with(got));
    EXPECT_TRUE(memory.met() || got.size() == body.size());
  });
  EXPECT_GT(allocations, 1u);
}

TEST(TlsMemory, WhenItIsShortWhileEncryptingEndsReadingToo) {
  TestShard shard;
  const std::shared_ptr<ServerContext> context = server_context({localhost()});
  Connection one(shard, *context);
  NthFails enough(NthFails::kNever);
  ASSERT_EQ(one.shake(enough).state, IoState::kDone);
  std::array<char, 10> bytes;
  EXPECT_EQ(one.stream.read(bytes).state, IoState::kBlocked);
  one.stream.shutdown_write();  // the same effect as an allocation that fails within SSL_write: no further encryption
  EXPECT_EQ(write(one.stream, "a request", {}).state, IoState::kFailed);
  EXPECT_EQ(one.stream.read(bytes).state, IoState::kFailed) << "the stream waits for an answer to bytes that were never sent";
}

}  // namespace
}  // namespace router::tls::test
