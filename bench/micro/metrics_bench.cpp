#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "router/metrics/registry.h"

namespace router::metrics {
namespace {

using namespace std::chrono_literals;

void Observe(benchmark::State& state) {
  Histogram histogram;
  std::uint64_t nanoseconds = 1;
  for (auto _ : state) {
    nanoseconds = nanoseconds * 6364136223846793005ULL + 1;  // so that the branch predictor learns nothing
    histogram.observe(std::chrono::nanoseconds(nanoseconds >> 34));
  }
}
BENCHMARK(Observe);

/// The cost of one exchange on the data path.
void ExchangeFinished(benchmark::State& state) {
  Registry registry(1);
  const auto metrics = registry.deployment("endpoint", "deployment");
  DeploymentCells& cells = metrics->on(0);
  ExchangeFigures figures;
  figures.status = 200;
  figures.queued = figures.answered = true;
  std::uint64_t random = 1;
  for (auto _ : state) {
    random = random * 6364136223846793005ULL + 1;
    figures.duration = std::chrono::nanoseconds(random >> 34);
    figures.overhead = figures.duration / 64;
    figures.queue_wait = figures.duration / 8;
    figures.first_byte = figures.duration / 2;
    cells.exchange_finished(figures);
  }
}
BENCHMARK(ExchangeFinished);

/// How long the control thread is busy with one scrape of `range(0)` endpoints.
void Scrape(benchmark::State& state) {
  Registry registry(4);
  std::vector<std::shared_ptr<DeploymentMetrics>> held;
  for (std::int64_t i = 0; i < state.range(0); ++i) {
    held.push_back(registry.deployment("endpoint-" + std::to_string(i), "blue"));
    for (std::size_t shard = 0; shard < 4; ++shard) {
      held.back()->on(shard).exchange_finished(
          {.status = 200, .duration = 3ms, .queue_wait = 1ms, .queued = true, .first_byte = 2ms, .answered = true});
    }
  }
  std::size_t bytes = 0;
  for (auto _ : state) bytes = registry.render().size();
  state.counters["bytes"] = static_cast<double>(bytes);
}
BENCHMARK(Scrape)->Arg(1)->Arg(100)->Arg(1000)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace router::metrics
