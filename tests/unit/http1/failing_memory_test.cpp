#include "tests/support/failing_memory.h"

#include <gtest/gtest.h>

#include <memory>
#include <new>
#include <string>

#include "router/http1/message_input.h"
#include "router/http1/message_output.h"
#include "tests/support/test_shard.h"
#include "tests/support/wire.h"

/// A message finds no memory at each of its steps. The step fails, and the bytes that were read before are kept.
namespace router::http1 {
namespace {

using test::Collected;
using Kind = http::Framing::Kind;

/// Larger than a pool's blocks, which would hide that a block is needed.
constexpr std::size_t kLarge = 20000;

/// Runs `step` again and again, with the first allocation failing, then the second one, until none fails. Returns the number of
/// failures.
template <class Fresh, class Step>
std::size_t fail_each(const Fresh& fresh, const Step& step) {
  for (std::size_t served = 0;; ++served) {
    auto scene = fresh();
    std::size_t failed = 0;
    {
      const test::FailingMemory one(served, 1);
      try {
        step(*scene);
      } catch (const std::bad_alloc&) {
      }
      failed = one.failed();
    }
    if (failed == 0) return served;
    step(*scene);  // with memory, from the state that is left
    scene->check();
  }
}

struct Scene {
  /// Has a head that is larger by `larger` bytes.
  explicit Scene(std::size_t larger) : head("POST / HTTP/1.1\r\nX: " + std::string(larger, 'x') + "\r\n\r\n") {
    pair.far.send(head);
  }
  void check() {
    EXPECT_EQ(*input.head(pair.stream, 65536), head);
    input.begin_body({Kind::kLength, 2});
    Collected body;
    while (!body.ended) ASSERT_TRUE(input.read_body(pair.stream, body));
    EXPECT_EQ(body.body, "ab");
  }
  const std::string head;
  test::TestShard shard;
  test::Wire pair{shard};
  MessageInput input{shard, Origin::kDownstream};
};

TEST(WireWithoutMemory, LosesNothingOfAHead) {
  const auto step = [](Scene& scene) { static_cast<void>(scene.input.head(scene.pair.stream, 65536)); };
  const auto fresh = [] {
    auto scene = std::make_unique<Scene>(kLarge);
    scene->pair.far.send("ab");
    return scene;
  };
  EXPECT_GE(fail_each(fresh, step), 2u) << "a block, and a larger one";
}

TEST(WireWithoutMemory, LosesNothingThatIsReadAhead) {
  const auto fresh = [] {
    auto scene = std::make_unique<Scene>(1);
    EXPECT_EQ(*scene->input.head(scene->pair.stream, 65536), scene->head);
    scene->pair.far.send("ab");
    return scene;
  };
  const auto step = [](Scene& scene) { EXPECT_TRUE(scene.input.read_ahead(scene.pair.stream)); };
  EXPECT_GE(fail_each(fresh, step), 1u);
}

/// An output of more than one block.
struct Sending {
  Sending() {
    output.end_head({http::Framing::Kind::kUntilClose});
    EXPECT_EQ(output.queue().flush(pair.stream).state, runtime::IoState::kDone);
    pair.far.received();
  }
  void check() const { EXPECT_EQ(pair.far.received(), much); }
  const std::string much = std::string(kLarge, 'x');
  test::TestShard shard;
  test::Wire pair{shard};
  MessageOutput output{shard.shard().buffers()};
};

TEST(WireWithoutMemory, LosesNothingOfWhatItMeantToSend) {
  const auto fresh = [] { return std::make_unique<Sending>(); };
  const auto step = [](Sending& sending) {
    if (sending.output.queue().sent() == 2) sending.output.queue().append(sending.much);
    sending.output.queue().flush(sending.pair.stream);
  };
  EXPECT_GE(fail_each(fresh, step), 1u);
}

}  // namespace
}  // namespace router::http1
