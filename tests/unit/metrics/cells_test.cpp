#include "router/metrics/cells.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <thread>
#include <vector>

namespace router::metrics {
namespace {

using namespace std::chrono_literals;

std::map<int, std::uint64_t> counted(const StatusCells& cells) {
  std::map<int, std::uint64_t> all;
  cells.each([&](int status, std::uint64_t times) { all[status] = times; });
  return all;
}

std::uint64_t count(const Histogram& histogram) {
  std::uint64_t total = 0;
  for (std::size_t index = 0; index <= kDefaultBounds.size(); ++index) total += histogram.bucket(index);
  return total;
}

TEST(Cell, GoesUpAndDown) {
  Cell cell;
  cell.add(5);
  cell.subtract();
  EXPECT_EQ(cell.value(), 4u);
}

TEST(Histogram, PutsADurationIntoTheFirstBucketWhoseBoundIsNotBelowIt) {
  Histogram histogram;
  histogram.observe(50us);
  histogram.observe(50us + 1ns);
  EXPECT_EQ(histogram.bucket(0), 1u);
  EXPECT_EQ(histogram.bucket(1), 1u);
  EXPECT_EQ(histogram.sum_nanoseconds(), 100'001u);
}

TEST(Histogram, KeepsWhatIsLongerThanTheLastBoundInAnOpenBucket) {
  Histogram histogram;
  histogram.observe(3601s);
  EXPECT_EQ(histogram.bucket(kDefaultBounds.size()), 1u);
}

/// Every percentile showed a request of ten minutes and one of an hour alike: more than 300 s.
TEST(Histogram, KnewNoLongerRequestThanFiveMinutes) {
  Histogram histogram;
  for (const auto long_one : {301s, 1000s, 3600s}) histogram.observe(long_one);
  EXPECT_EQ(histogram.bucket(kDefaultBounds.size()), 0u);
  for (std::size_t back = 1; back <= 3; ++back) EXPECT_EQ(histogram.bucket(kDefaultBounds.size() - back), 1u);
}

TEST(Histogram, KeepsTheBoundsThatDashboardsKnow) {
  std::vector<std::uint64_t> before{
      50'000,        100'000,       250'000,        500'000,        1'000'000,      2'500'000,       5'000'000,
      10'000'000,    25'000'000,    50'000'000,     100'000'000,    250'000'000,    500'000'000,     1'000'000'000,
      2'500'000'000, 5'000'000'000, 10'000'000'000, 30'000'000'000, 60'000'000'000, 120'000'000'000, 300'000'000'000};
  EXPECT_TRUE(std::includes(kDefaultBounds.begin(), kDefaultBounds.end(), before.begin(), before.end()));
}

TEST(Histogram, CountsByTheBoundsThatItIsGiven) {
  const std::vector<std::chrono::nanoseconds> chosen{1ms, 7200s};
  const Bounds bounds(chosen);
  Histogram histogram;
  histogram.use(bounds);
  for (const std::chrono::nanoseconds each : {std::chrono::nanoseconds(1ms), std::chrono::nanoseconds(2ms)})
    histogram.observe(each);
  histogram.observe(7201s);
  for (std::size_t index = 0; index < 3; ++index) EXPECT_EQ(histogram.bucket(index), 1u);
}

TEST(Histogram, TakesANegativeDurationForNone) {
  Histogram histogram;
  histogram.observe(-5ms);
  EXPECT_EQ(histogram.bucket(0), 1u);
  EXPECT_EQ(histogram.sum_nanoseconds(), 0u);
}

TEST(Histogram, HasItsBoundsInOrder) { EXPECT_TRUE(std::is_sorted(kDefaultBounds.begin(), kDefaultBounds.end())); }

TEST(StatusCells, CountsEachStatusByItself) {
  StatusCells cells;
  for (const int status : {100, 200, 200, 299, 599}) cells.count(status);
  const std::map<int, std::uint64_t> expected{{100, 1}, {200, 2}, {299, 1}, {599, 1}};
  EXPECT_EQ(counted(cells), expected);
}

TEST(StatusCells, CountsWhatIsNoStatusTogether) {
  StatusCells cells;
  for (const int status : {-1, 0, 99, 600, 999}) cells.count(status);
  const std::map<int, std::uint64_t> expected{{StatusCells::kOther, 5}};
  EXPECT_EQ(counted(cells), expected);
}

TEST(DeploymentCells, ObservesQueueAndPodOnlyForExchangesThatCameThere) {
  DeploymentCells cells;
  cells.exchange_finished({.status = 404, .reason = Reason::kEndpointNotFound, .duration = 1ms});
  EXPECT_EQ(count(cells.duration()), 1u);
  EXPECT_EQ(count(cells.queue_wait()), 0u);
  EXPECT_EQ(count(cells.first_byte()), 0u);
  cells.exchange_finished(
      {.status = 200, .duration = 1ms, .queue_wait = 1ms, .queued = true, .first_byte = 1ms, .answered = true});
  EXPECT_EQ(count(cells.queue_wait()), 1u);
  EXPECT_EQ(count(cells.first_byte()), 1u);
}

TEST(DeploymentCells, KeepsTheSameStatusApartByReason) {
  DeploymentCells cells;
  cells.exchange_finished({.status = 503});
  cells.exchange_finished({.status = 503, .reason = Reason::kQueueFull});
  EXPECT_EQ(counted(cells.requests(Reason::kNone)).at(503), 1u);
  EXPECT_EQ(counted(cells.requests(Reason::kQueueFull)).at(503), 1u);
}

TEST(DeploymentCells, CanBeReadWhileTheirShardCounts) {
  DeploymentCells cells;
  std::thread shard([&] {
    for (int i = 0; i < 20'000; ++i)
      cells.exchange_finished({.status = 100 + i % 500, .reason = static_cast<Reason>(i % kReasonCount), .duration = 1ms});
  });
  std::uint64_t before = 0;
  for (int i = 0; i < 50; ++i) {
    std::uint64_t seen = 0;
    for (std::size_t reason = 0; reason < kReasonCount; ++reason)
      cells.requests(static_cast<Reason>(reason)).each([&](int, std::uint64_t times) { seen += times; });
    EXPECT_GE(seen, before);
    before = seen;
  }
  shard.join();
  EXPECT_EQ(count(cells.duration()), 20'000u);
}

}  // namespace
}  // namespace router::metrics
