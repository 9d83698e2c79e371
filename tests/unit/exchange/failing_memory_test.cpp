// The n-th allocation fails, for every n of an exchange, at each of its states. The slot is given back, the exchange is
// accounted for once, and everything that it held is released.

#include "tests/support/failing_memory.h"

#include <functional>
#include <new>

#include "router/base/log.h"
#include "tests/unit/exchange/exchange_world.h"

namespace router::test {
namespace {

using Opening = ScriptedPods::Opening;

/// One course of an exchange.
struct Way {
  std::string_view fields;
  std::string_view body;
  std::function<void(ExchangeWorld&)> prepare = [](ExchangeWorld&) {};
  std::function<void(ExchangeWorld&, Asking&)> act;  // after the exchange has begun; with memory of its own
  std::uint64_t others = 0;                          // exchanges that `prepare` begins
};

class WithoutMemory : public ::testing::Test {
 public:
  ~WithoutMemory() override { log::use({}); }

 protected:
  WithoutMemory() {
    log::Target nowhere;
    EXPECT_EQ(log::open("/dev/null", log::Level::kError, log::Format::kText, nowhere), "");
    log::use(nowhere);
  }

  /// Runs the course with the n-th allocation failing, until none fails. At least `at_least` allocations must have failed.
  void each_allocation_fails(const Way& way, std::size_t at_least) {
    run(way, FailingMemory::kAll, 0);  // allocations that are made once and kept
    fail_one_by_one(way, at_least, 1);
    fail_one_by_one(way, at_least,
                    FailingMemory::kAll);  // memory stays short until the client and the pod have done their part
  }

 private:
  static void fail_one_by_one(const Way& way, std::size_t at_least, std::size_t count) {
    for (std::size_t served = 0;; ++served) {
      const std::size_t before = FailingMemory::outstanding();
      const std::size_t failed = run(way, served, count);
      ASSERT_EQ(FailingMemory::outstanding(), before) << served << ": a leak";
      ASSERT_FALSE(HasFailure()) << served;
      if (failed > 0) continue;
      EXPECT_GE(served, at_least);
      return;
    }
  }
  static std::size_t run(const Way& way, std::size_t served, std::size_t count) {
    ExchangeWorld world;
    world.add_replica("a");
    way.prepare(world);
    world.publish();
    Asking& asking = world.hold(way.fields, way.body);
    const std::size_t failed = fail(way, world, asking, served, count);
    world.end_everything();
    EXPECT_TRUE(asking.over);
    EXPECT_EQ(world.slots_in_use(), 0u);
    EXPECT_EQ(world.waiting(), 0u);
    EXPECT_EQ(world.pods.in_use, 0);
    EXPECT_EQ(world.shadow.queue->demand().slots_in_use, 0u);
    // The first allocation is the exchange's own frame. Without it the exchange does not begin, and its connection ends.
    EXPECT_EQ(world.told(), way.others + (asking.thrown && served == 0 ? 0 : 1)) << served;
    EXPECT_LE(world.mirrored(), 1u);
    return failed;
  }
  static std::size_t fail(const Way& way, ExchangeWorld& world, Asking& asking, std::size_t served, std::size_t count) {
    const FailingMemory failing(served, count);
    try {
      world.go(asking);
      way.act(world, asking);
    } catch (const std::bad_alloc&) {  // thrown by the loop, which the test itself runs
    }
    return failing.failed();
  }
};

TEST_F(WithoutMemory, AnExchangeThatIsServed) {
  each_allocation_fails({"Content-Length: 3\r\n", "abc", [](ExchangeWorld&) {},
                         [](ExchangeWorld& world, Asking&) { world.pods.last().answer(200, "yes"); }},
                        10);
}

TEST_F(WithoutMemory, AnExchangeThatIsRefused) {
  each_allocation_fails(
      {"Content-Length: 3\r\nx-request-deadline-ms: 0\r\n", "abc", [](ExchangeWorld&) {}, [](ExchangeWorld&, Asking&) {}}, 3);
}

TEST_F(WithoutMemory, ABodyThatIsGathered) {
  each_allocation_fails({"Content-Length: 6\r\n", "abc", [](ExchangeWorld&) {},
                         [](ExchangeWorld& world, Asking& asking) {
                           world.advance(1s);
                           asking.client.send("def");
                           world.pods.last().answer(200);
                         }},
                        10);
}

TEST_F(WithoutMemory, AWaitInTheQueueThatEndsWithASlot) {
  const auto occupy = [](ExchangeWorld& world) {
    world.publish();
    world.occupy();
  };
  const auto give_way = [](ExchangeWorld& world, Asking&) {
    world.advance(100ms);
    world.pods.connections.front()->answer(200);
    world.pods.last().answer(200);
  };
  each_allocation_fails({"", "", occupy, give_way, 1}, 5);
}

TEST_F(WithoutMemory, AWaitInTheQueueInVain) {
  const auto none_is_ready = [](ExchangeWorld& world) { world.blue.queue->set_replicas({}); };
  each_allocation_fails({"", "", none_is_ready, [](ExchangeWorld& world, Asking&) { world.advance(500ms); }}, 3);
}

TEST_F(WithoutMemory, AnAttemptElsewhereAfterOneThatFailed) {
  const auto plan = [](ExchangeWorld& world) {
    world.add_replica("b");
    world.pods.plan(Opening::kRefused);
    world.pods.plan(Opening::kHangs);
  };
  each_allocation_fails({"Content-Length: 3\r\n", "abc", plan,
                         [](ExchangeWorld& world, Asking&) {
                           world.advance(10ms);
                           world.pods.let_in();
                           world.pods.last().answer(200);
                         }},
                        10);
}

TEST_F(WithoutMemory, ASecondAttemptOverANewConnection) {
  const auto plan = [](ExchangeWorld& world) {
    const auto stale = world.pods.plan_connection();
    stale->reused = true;
    stale->unseen = upstream::Unseen::kProved;
  };
  each_allocation_fails({"Content-Length: 3\r\n", "abc", plan,
                         [](ExchangeWorld& world, Asking&) {
                           world.pods.last().breaks();
                           world.pods.last().answer(200);
                         }},
                        15);
}

TEST_F(WithoutMemory, AnAnswerThatIsRelayedToASlowClient) {
  each_allocation_fails({"", "", [](ExchangeWorld&) {},
                         [](ExchangeWorld& world, Asking& asking) {
                           world.pods.last().interim();
                           world.pods.last().begin_answer(200);
                           asking.client.take_nothing();
                           world.pods.last().send("half");
                           world.advance(1s);
                           asking.client.take_all();
                           world.pods.last().send("and half");
                           world.pods.last().end_answer();
                         }},
                        10);
}

TEST_F(WithoutMemory, AClientThatLeavesADeafPod) {
  each_allocation_fails({"", "", [](ExchangeWorld& world) { world.pods.plan_connection()->deaf = true; },
                         [](ExchangeWorld& world, Asking& asking) {
                           asking.client.leave();
                           world.advance(250ms);
                         }},
                        5);
}

TEST_F(WithoutMemory, AnAnswerThatIsReadAlthoughItsClientHasLeft) {
  const auto drains = [](ExchangeWorld& world) { world.blue.drain_on_abort = true; };
  each_allocation_fails({"", "", drains,
                         [](ExchangeWorld& world, Asking& asking) {
                           asking.client.leave();
                           world.pods.last().answer(200, "nobody's");
                         }},
                        5);
}

TEST_F(WithoutMemory, ACopyForAMirror) {
  const auto mirrors = [](ExchangeWorld& world) {
    world.add_shadow();
    world.mirror_percent = 100;
  };
  each_allocation_fails({"Content-Length: 3\r\n", "abc", mirrors,
                         [](ExchangeWorld& world, Asking&) {
                           world.poll();
                           for (const auto& each : world.pods.connections) each->answer(200);
                         }},
                        20);
}

TEST_F(WithoutMemory, ADrainThatEndsAnExchange) {
  each_allocation_fails({"", "", [](ExchangeWorld& world) { world.pods.plan_connection()->deaf = true; },
                         [](ExchangeWorld& world, Asking& asking) {
                           asking.client.end_grace();
                           world.advance(250ms);
                         }},
                        5);
}

}  // namespace
}  // namespace router::test
