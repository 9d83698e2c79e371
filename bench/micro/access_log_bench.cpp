#include <benchmark/benchmark.h>

#include <string>

#include "router/proxy/access_log.h"
#include "tests/support/messages.h"
#include "tests/support/quiet_downstream.h"

/// The cost of a line of the access log for the shard: making its text, and passing it to the writer.
namespace router::proxy {
namespace {

using namespace std::chrono_literals;
using test::Request;
using test::request_text;

/// The client's side of a finished exchange: only what the access log reads.
class EndedDownstream final : public test::QuietDownstream {
 public:
  explicit EndedDownstream(const http::RequestHead& head) : QuietDownstream(head) { asks().address = "10.244.0.17"; }

  std::uint64_t request_bytes() const override { return 1024; }
  std::uint64_t response_bytes() const override { return 200; }
  std::uint64_t bytes_taken() const override { return 200; }
};

/// A successful exchange.
class AccessLine : public benchmark::Fixture {
 protected:
  AccessLine() {
    endpoint_.name = "credit-scoring";
    deployment_.name = "blue";
    ids_.generated = new_uuid();
    ids_.request_id = view_of(ids_.generated);
    record_.endpoint = &endpoint_;
    record_.deployment = &deployment_;
    record_.caller = {model::AuthType::kKey, "primary"};
    record_.ids = &ids_;
    record_.begun = record_.queued = record_.left_queue = TimePoint{} + 1h;
    record_.sent = record_.begun + 100us;
    record_.answered = record_.begun + 3ms;
    record_.ended = record_.begun + 4ms;
    record_.status = record_.model_status = 200;
    record_.attempts = 1;
    record_.replica = "credit-scoring-blue-7d9f:5001";
  }

  const Request request_{
      request_text("POST", "/api/v1/endpoint/credit-scoring/score", "User-Agent: python-requests/2.31.0\r\n")};
  const EndedDownstream downstream_{request_.head()};
  model::Endpoint endpoint_;
  model::Deployment deployment_;
  RequestIds ids_;
  Record record_;
};

BENCHMARK_F(AccessLine, Text)(benchmark::State& state) {
  std::string line;
  for (auto _ : state) {
    line.clear();
    append_access_line(line, 7, downstream_.peer().address, downstream_, record_);
    benchmark::DoNotOptimize(line.data());
  }
  state.counters["bytes"] = static_cast<double>(line.size());
}

/// Includes the ring and a writer that discards the lines. If the writer cannot keep up, lines are dropped as in the router.
BENCHMARK_F(AccessLine, Write)(benchmark::State& state) {
  const auto writer = runtime::LineWriter::open("/dev/null", 1);
  if (!writer.ok()) return state.SkipWithError("no writer");
  for (auto _ : state) write_access_line(**writer, 0, 7, downstream_.peer().address, downstream_, record_);
  state.counters["dropped"] = benchmark::Counter(static_cast<double>((*writer)->dropped()), benchmark::Counter::kAvgIterations);
}

}  // namespace
}  // namespace router::proxy
