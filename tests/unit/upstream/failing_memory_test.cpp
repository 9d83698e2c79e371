#include "tests/support/failing_memory.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "tests/unit/upstream/pod_world.h"

/// The n-th allocation fails, for each n, at each state of an exchange with a pod. The slot is given back, the connection ends,
/// and the next request is served.
namespace router::upstream {
namespace {

struct Scene : PodWorld {
  using PodWorld::PodWorld;

  /// Serves the next request, over any connection.
  void serve_next() {
    here.advance(milliseconds(10));
    auto next = send(here);
    send_request(*next);
    std::vector<test::Descriptor> ends;
    ends.push_back(std::move(pod_end));
    const bool answered = test::turn_until(here, [&] {
      if (test::Descriptor accepted = pod.accept()) ends.push_back(std::move(accepted));
      for (const test::Descriptor& each : ends) {
        if (each.received().find("POST /score HTTP/1.1") == std::string::npos || each.at_end()) continue;
        each.send("HTTP/1.1 204 No Content\r\n\r\n");
        return true;
      }
      return false;
    });
    EXPECT_TRUE(answered);
    EXPECT_TRUE(next_head(*next));
    next->end(Leaving::kReusable);
    const auto open = std::count_if(ends.begin(), ends.end(), [](const auto& each) { return each && !each.at_end(); });
    EXPECT_EQ(open, 1) << "one connection is left, the one that serves";
  }

  std::unique_ptr<Request> request;
  test::Descriptor pod_end;
};
using Step = std::function<void(Scene&)>;

/// Runs `prepare` and `step` in a new scene for each n. Memory fails only in `step`. Returns the number of its allocations.
std::size_t fail_each(std::size_t slots, const Step& prepare, const Step& step) {
  for (std::size_t served = 0;; ++served) {
    Scene scene(slots);
    prepare(scene);
    std::size_t failed = 0;
    {
      const test::EmptyFrameCache empty;
      const test::FailingMemory one(served, 1);
      try {
        step(scene);
      } catch (const std::bad_alloc&) {
      }
      failed = one.failed();
    }
    scene.request.reset();
    scene.here.poll();
    EXPECT_EQ(scene.slots_in_use(), 0u) << served;
    if (failed == 0) return served;
    scene.serve_next();
  }
}

void nothing(Scene&) {}

/// Does the same as `send` of PodWorld, including its allocations.
void open(Scene& scene) {
  scene.request = std::make_unique<PodWorld::Request>(scene.here);
  Result<dispatch::RequestQueue::Entry> entry = scene.queue->enter(scene.request->wakeup);
  scene.request->held_slot = std::move(entry->held_slot);
  scene.request->opening.emplace(
      scene.here.start(upstream::open(scene.request->held_slot, scene.options, scene.request->wakeup, scene.request->client)));
  for (int turn = 0; turn < 100 && !scene.request->open(); ++turn) scene.here.poll();
}

void serve_one(Scene& scene) {
  scene.request = scene.send(scene.here);
  scene.pod_end = scene.accept(scene.here);
  PodWorld::exchange(*scene.request, scene.pod_end);
}

class UpstreamWithoutMemory : public ::testing::TestWithParam<std::size_t> {};
INSTANTIATE_TEST_SUITE_P(Slots, UpstreamWithoutMemory, ::testing::Values(1, 0),
                         [](const auto& slots) { return slots.param == 0 ? "NoLimit" : "One"; });

TEST_P(UpstreamWithoutMemory, GivesTheSlotBackWhereNoConnectionCanBeMade) {
  EXPECT_GE(fail_each(GetParam(), nothing, open), 2u);
}

TEST_P(UpstreamWithoutMemory, GivesTheSlotBackWhereAConnectionIsTakenUp) {
  const Step rested = [](Scene& scene) {
    serve_one(scene);
    scene.request->end(Leaving::kReusable);
    scene.request.reset();
    scene.here.advance(milliseconds(10));
  };
  EXPECT_GE(fail_each(GetParam(), rested, open), 1u);
}

TEST_P(UpstreamWithoutMemory, EndsTheConnectionWhereTheRequestIsWritten) {
  const Step opened = [](Scene& scene) {
    scene.request = scene.send(scene.here);
    scene.pod_end = scene.accept(scene.here);
    EXPECT_TRUE(test::turn_until(scene.here, [&] { return scene.request->open(); }));
  };
  const Step write = [large = std::string(20000, 'x')](Scene& scene) {
    UpstreamExchange& exchange = *scene.request->exchange;
    exchange.begin_head("POST", "/score", "", "");
    exchange.field("X", large);
    exchange.end_head({stream::BodySize::Kind::kUnknown});
    exchange.body_piece(large);
    exchange.body_end(nullptr);
    static_cast<void>(exchange.flush());
  };
  EXPECT_GE(fail_each(GetParam(), opened, write), 1u);
}

TEST_P(UpstreamWithoutMemory, EndsTheConnectionWhereTheHeadIsRead) {
  const Step asked = [](Scene& scene) {
    scene.request = scene.send(scene.here);
    scene.pod_end = scene.accept(scene.here);
    PodWorld::ask(*scene.request, scene.pod_end);
    scene.pod_end.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: " + std::string(20000, 'x') + "\r\n\r\nab");
  };
  const Step read = [](Scene& scene) {
    for (int turn = 0; turn < 100; ++turn) {
      const Result<const http::ResponseHead*> head = scene.request->exchange->response_head();
      if (!head || *head != nullptr) return;
    }
  };
  EXPECT_GE(fail_each(GetParam(), asked, read), 1u);
}

TEST_P(UpstreamWithoutMemory, EndsTheConnectionThatCannotComeToRest) {
  const Step finish = [](Scene& scene) { EXPECT_NO_THROW(scene.request->end(Leaving::kReusable)) << "the answer is complete"; };
  EXPECT_GE(fail_each(GetParam(), serve_one, finish), 1u);
}

TEST_P(UpstreamWithoutMemory, NeedsNoneToGiveUp) {
  const Step give_up = [](Scene& scene) {
    scene.request->exchange->leave(Leaving::kClose);
    static_cast<void>(scene.request->exchange->leave(Leaving::kClose));
    scene.request->end(Leaving::kReset);
  };
  EXPECT_EQ(fail_each(GetParam(), serve_one, give_up), 0u);
}

}  // namespace
}  // namespace router::upstream
