#include "router/runtime/timer_queue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <new>
#include <random>
#include <vector>

#include "tests/support/failing_memory.h"

namespace router::runtime {
namespace {

using std::chrono::seconds;

constexpr TimePoint at(int second) { return TimePoint(seconds(second)); }

class Alarm final : public Timer {
 public:
  explicit Alarm(std::function<void()> action = [] {}) : action_(std::move(action)) {}
  int rung = 0;

 private:
  void expired() override {
    ++rung;
    action_();
  }
  std::function<void()> action_;
};

TEST(TimerQueue, TellsWhatIsDueOnceAndTheSoonestFirst) {
  TimerQueue queue;
  std::vector<int> order;
  Alarm late([&] { order.push_back(3); });
  Alarm early([&] { order.push_back(1); });
  Alarm middle([&] { order.push_back(2); });
  queue.schedule(late, at(3));
  queue.schedule(early, at(1));
  queue.schedule(middle, at(2));
  EXPECT_EQ(queue.next(), at(1));
  queue.advance(at(2));
  EXPECT_EQ(order, (std::vector{1, 2}));
  EXPECT_FALSE(early.queued());
  queue.advance(at(10));
  queue.advance(at(20));
  EXPECT_EQ(order, (std::vector{1, 2, 3}));
  EXPECT_EQ(queue.next(), kNever);
}

TEST(TimerQueue, LeavesATimerAsItWasWhenMemoryIsShort) {
  TimerQueue queue;
  Alarm alarm;
  {
    const test::FailingMemory none(0);
    EXPECT_THROW(queue.schedule(alarm, at(1)), std::bad_alloc);
  }
  EXPECT_FALSE(alarm.queued());
  queue.advance(at(2));
  EXPECT_EQ(alarm.rung, 0);
  queue.schedule(alarm, at(3));
  queue.advance(at(3));
  EXPECT_EQ(alarm.rung, 1);
}

TEST(TimerQueue, KeepsAPlaceForATimerThatMustNotFail) {
  TimerQueue queue;
  Alarm kept;
  queue.schedule(kept, kNever);
  EXPECT_EQ(queue.next(), kNever);
  std::vector<std::unique_ptr<Alarm>> others;
  for (int i = 0; i < 100; ++i) queue.schedule(*others.emplace_back(std::make_unique<Alarm>()), at(5));
  const test::FailingMemory none(0);
  queue.schedule(kept, at(1));
  EXPECT_EQ(queue.next(), at(1));
  queue.advance(at(1));
  EXPECT_EQ(kept.rung, 1);
}

TEST(TimerQueue, MovesATimerThatIsScheduledAgain) {
  TimerQueue queue;
  Alarm alarm;
  Alarm other;
  queue.schedule(other, at(3));
  queue.schedule(alarm, at(1));
  queue.schedule(alarm, at(5));
  queue.advance(at(4));
  EXPECT_EQ(alarm.rung, 0);
  queue.schedule(alarm, at(4));
  queue.advance(at(4));
  EXPECT_EQ(alarm.rung, 1);
}

TEST(TimerQueue, ForgetsATimerThatIsCancelledOrDestroyed) {
  TimerQueue queue;
  Alarm cancelled;
  queue.schedule(cancelled, at(1));
  queue.cancel(cancelled);
  queue.cancel(cancelled);
  int rung = 0;
  auto destroyed = std::make_unique<Alarm>([&] { ++rung; });
  queue.schedule(*destroyed, at(1));
  destroyed.reset();
  queue.advance(at(2));
  EXPECT_EQ(cancelled.rung + rung, 0);
}

TEST(TimerQueue, LetsATimerQueueItselfAgainAndCancelOthers) {
  TimerQueue queue;
  Alarm victim;
  Alarm* self = nullptr;
  Alarm periodic([&] {
    queue.schedule(*self, self->when() + seconds(1));
    queue.cancel(victim);
  });
  self = &periodic;
  queue.schedule(periodic, at(1));
  queue.schedule(victim, at(2));
  queue.advance(at(3));
  EXPECT_EQ(periodic.rung, 3);
  EXPECT_EQ(victim.rung, 0);
}

TEST(TimerQueue, MayEndBeforeItsTimers) {
  Alarm alarm;
  {
    TimerQueue queue;
    queue.schedule(alarm, at(1));
  }
  EXPECT_FALSE(alarm.queued());
}

TEST(TimerQueue, KeepsTheOrderUnderRandomSchedulingMovingAndCancelling) {
  std::mt19937 random(1);
  TimerQueue queue;
  TimePoint last{};
  std::vector<std::unique_ptr<Alarm>> alarms;
  std::vector<TimePoint> due(300, kNever);
  std::size_t told = 0;
  for (std::size_t i = 0; i < due.size(); ++i) {
    alarms.push_back(std::make_unique<Alarm>([&, i] {
      EXPECT_EQ(alarms[i]->when(), due[i]);
      EXPECT_GE(due[i], last);
      last = due[i];
      due[i] = kNever;
      ++told;
    }));
  }
  for (int step = 0; step < 5000; ++step) {
    const std::size_t index = random() % alarms.size();
    if (random() % 4 == 0) {
      queue.cancel(*alarms[index]);
      due[index] = kNever;
    } else {
      due[index] = at(1 + static_cast<int>(random() % 1000));
      queue.schedule(*alarms[index], due[index]);
    }
    EXPECT_EQ(queue.next(), *std::min_element(due.begin(), due.end()));
  }
  const auto left = static_cast<std::size_t>(std::count_if(due.begin(), due.end(), [](TimePoint t) { return t != kNever; }));
  queue.advance(at(1001));
  EXPECT_EQ(told, left);
}

}  // namespace
}  // namespace router::runtime
