#include "router/runtime/inbox.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <new>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include "router/runtime/shard_set.h"
#include "tests/support/failing_memory.h"
#include "tests/support/loopback.h"
#include "tests/support/test_shard.h"

namespace router::runtime {
namespace {

using test::FailingMemory;
using test::TestShard;
using test::turn_until;

class Note final : public Message {
 public:
  explicit Note(std::vector<int>& into, int number) : into_(into), number_(number) {}
  int drops() const { return drops_; }

 private:
  void run() override { into_.push_back(number_); }
  void dropped() noexcept override { ++drops_; }
  std::vector<int>& into_;
  const int number_;
  int drops_ = 0;
};

/// A message that calls a function.
class Act final : public Message {
 public:
  explicit Act(std::function<void()> act) : act_(std::move(act)) {}

 private:
  void run() override { act_(); }
  void dropped() noexcept override {}
  std::function<void()> act_;
};

TEST(Inbox, RunsMessagesInTheOrderInWhichTheyWereSentAndEachOnce) {
  TestShard shard;
  std::vector<int> ran;
  Note one(ran, 1);
  Note two(ran, 2);
  Note three(ran, 3);
  shard.shard().send(one);
  shard.shard().send(two);
  shard.shard().send(three);
  EXPECT_TRUE(two.on_its_way());
  EXPECT_TRUE(ran.empty()) << "a message never runs inside `send`";
  shard.poll();
  EXPECT_EQ(ran, (std::vector{1, 2, 3}));
  EXPECT_FALSE(two.on_its_way());
  shard.shard().send(two);
  shard.poll();
  EXPECT_EQ(ran, (std::vector{1, 2, 3, 2}));
}

TEST(Inbox, KeepsTheOrderOfMessagesAndPostedWork) {
  TestShard shard;
  std::vector<int> ran;
  Note first(ran, 1);
  Note last(ran, 3);
  shard.shard().send(first);
  shard.shard().post([&] { ran.push_back(2); });
  shard.shard().send(last);
  shard.poll();
  EXPECT_EQ(ran, (std::vector{1, 2, 3}));
}

TEST(Inbox, NeedsNoMemory) {
  TestShard shard;
  shard.poll();
  std::vector<int> ran;
  ran.reserve(100);
  Note one(ran, 1);
  Note two(ran, 2);
  {
    const FailingMemory none(0);
    shard.shard().send(one);
    shard.shard().send(two);
    EXPECT_EQ(none.failed(), 0u);
  }
  shard.poll();
  EXPECT_EQ(ran, (std::vector{1, 2}));
}

TEST(Inbox, GoesOnAfterAMessageThatThrows) {
  TestShard shard;
  std::vector<int> ran;
  Act broken([] { throw std::runtime_error("broken"); });
  Act short_of_memory([] { throw std::bad_alloc(); });
  Note last(ran, 1);
  shard.shard().send(broken);
  shard.shard().send(short_of_memory);
  shard.shard().send(last);
  shard.poll();
  EXPECT_EQ(ran, std::vector{1});
}

TEST(Inbox, RunsWhatAMessageSendsInItsTurn) {
  TestShard shard;
  std::vector<int> ran;
  Note sent(ran, 1);
  Note behind(ran, 2);
  Act sends([&] { shard.shard().send(sent); });
  shard.shard().send(sends);
  shard.shard().send(behind);
  shard.poll();
  EXPECT_EQ(ran, (std::vector{2, 1}));
}

TEST(Inbox, MayWakeACoroutine) {
  TestShard shard;
  Wakeup wakeup(shard);
  const auto wait = [](Wakeup& at) -> Task<bool> { co_return co_await at.wait(kNever); };
  auto waiting = shard.start(wait(wakeup));
  Act wakes([&] { wakeup.wake(); });
  shard.shard().send(wakes);
  EXPECT_FALSE(waiting.done());
  shard.poll();
  EXPECT_TRUE(waiting.done());
}

TEST(Inbox, TakesAMessageBackThatIsDestroyedOnItsWay) {
  TestShard shard;
  std::vector<int> ran;
  Note first(ran, 1);
  auto second = std::make_unique<Note>(ran, 2);
  Note third(ran, 3);
  auto fourth = std::make_unique<Note>(ran, 4);
  Act destroys([&] { fourth.reset(); });  // the fourth is behind this message, and the shard has taken both together
  shard.shard().send(first);
  shard.shard().send(*second);
  shard.shard().send(third);
  second.reset();
  shard.shard().send(destroys);
  shard.shard().send(*fourth);
  shard.poll();
  EXPECT_EQ(ran, (std::vector{1, 3}));
  shard.shard().send(first);
  shard.poll();
  EXPECT_EQ(ran, (std::vector{1, 3, 1})) << "the inbox still works";
}

TEST(Inbox, DropsWhatWasNotRunWhenTheShardEndsAndWhatIsSentLater) {
  const SteadyClock clock;
  std::vector<int> ran;
  Note early(ran, 1);
  Note late(ran, 2);
  bool destroyed = false;
  {
    Shard shard(0, clock);
    shard.send(early);
    struct Owned {
      explicit Owned(bool& flag) : flag_(flag) {}
      ~Owned() { flag_ = true; }
      bool& flag_;
    };
    shard.post([owned = std::make_shared<Owned>(destroyed)] { FAIL(); });
    shard.close();
    EXPECT_EQ(early.drops(), 1);
    EXPECT_TRUE(destroyed);
    shard.send(late);
    EXPECT_EQ(late.drops(), 1);
    shard.send(late);
    EXPECT_EQ(late.drops(), 2) << "a dropped message may be sent again";
  }
  EXPECT_TRUE(ran.empty());
}

TEST(Inbox, DropsAlsoWhatDroppingSends) {
  const SteadyClock clock;
  std::vector<int> ran;
  class Chain final : public Message {
   public:
    Chain(Shard& to, Message& next) : to_(to), next_(next) {}
    void run() override {}
    void dropped() noexcept override { to_.send(next_); }

   private:
    Shard& to_;
    Message& next_;
  };
  Note last(ran, 1);
  {
    ShardSet shards(2, clock);
    Chain second(shards[0], last);
    Chain first(shards[1], second);
    shards[0].send(first);
    shards[0].close();
    EXPECT_EQ(last.drops(), 0) << "the second is on its way to the other shard";
    shards[1].close();
    EXPECT_EQ(last.drops(), 1);
  }
}

TEST(Inbox, WakesAShardThatSleepsAndLosesNothingOfManyThreads) {
  constexpr int kSenders = 4;
  constexpr int kEach = 2000;
  const SteadyClock clock;
  ShardSet shards(1, clock);
  std::atomic<int> ran{0};
  std::vector<int> last_of(kSenders, -1);  // only the shard uses it
  std::atomic<bool> in_order{true};
  class Numbered final : public Message {
   public:
    void run() override {
      ++*ran;
      if (std::exchange(*last, number) != number - 1) *in_order = false;
    }
    void dropped() noexcept override {}
    std::atomic<int>* ran;
    int* last;
    std::atomic<bool>* in_order;
    int number;
  };
  std::vector<std::unique_ptr<Numbered[]>> messages;
  for (int sender = 0; sender < kSenders; ++sender) {
    messages.push_back(std::make_unique<Numbered[]>(kEach));
    for (int i = 0; i < kEach; ++i) {
      Numbered& each = messages.back()[i];
      each.ran = &ran;
      each.last = &last_of[static_cast<std::size_t>(sender)];
      each.in_order = &in_order;
      each.number = i;
    }
  }
  shards.start();
  std::vector<std::thread> senders;
  for (int sender = 0; sender < kSenders; ++sender) {
    senders.emplace_back([&, sender] {
      for (int i = 0; i < kEach; ++i) {
        shards[0].send(messages[static_cast<std::size_t>(sender)][i]);
        if (i % 100 == 0) {  // waits, so that the shard sleeps meanwhile
          while (ran.load() < i) std::this_thread::yield();
        }
      }
    });
  }
  for (std::thread& each : senders) each.join();
  shards.join();  // runs the messages that were sent before
  EXPECT_EQ(ran, kSenders * kEach);
  EXPECT_TRUE(in_order);
}

TEST(Inbox, CarriesAMessageToAndFroWithoutMemory) {
  const SteadyClock clock;
  ShardSet shards(2, clock);
  static std::atomic<std::size_t> failed;
  failed = 0;
  struct Ball final : Message {
    void run() override {
      const FailingMemory none(0);
      if (++flights == 1000) {
        done = true;
      } else {
        (*set)[static_cast<std::size_t>(flights % 2)].send(*this);  // after this the other shard owns it
      }
      failed += none.failed();
    }
    void dropped() noexcept override {}
    ShardSet* set = nullptr;
    int flights = 0;
    std::atomic<bool> done{false};
  } ball;
  ball.set = &shards;
  shards.start();
  shards[0].send(ball);
  TestShard here;
  EXPECT_TRUE(turn_until(here, [&] { return ball.done.load(); }));
  shards.join();
  EXPECT_EQ(failed, 0u);
}

}  // namespace
}  // namespace router::runtime
