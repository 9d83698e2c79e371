#include "router/metrics/cells.h"

#include <gtest/gtest.h>

#include <map>
#include <thread>

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
  for (std::size_t index = 0; index < Histogram::kBuckets; ++index) total += histogram.bucket(index);
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
  histogram.observe(301s);
  EXPECT_EQ(histogram.bucket(Histogram::kBuckets - 1), 1u);
}

TEST(Histogram, TakesANegativeDurationForNone) {
  Histogram histogram;
  histogram.observe(-5ms);
  EXPECT_EQ(histogram.bucket(0), 1u);
  EXPECT_EQ(histogram.sum_nanoseconds(), 0u);
}

TEST(Histogram, HasItsBoundsInOrder) { EXPECT_TRUE(std::is_sorted(Histogram::kBounds.begin(), Histogram::kBounds.end())); }

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
