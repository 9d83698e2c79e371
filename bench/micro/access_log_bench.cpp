#include <benchmark/benchmark.h>

#include <string>

#include "router/proxy/access_log.h"
#include "tests/support/messages.h"

/// What a line of the access log costs the shard: its text, and handing it to the writer.
namespace router::proxy {
namespace {

using namespace std::chrono_literals;
using test::Request;
using test::request_text;

/// The client's side of an exchange that is over: only what the access log asks for.
class EndedDownstream final : public Downstream {
 public:
  explicit EndedDownstream(const http::RequestHead& head) : head_(head) { peer_.address = "10.244.0.17"; }
  ~EndedDownstream() = default;

  const http::RequestHead& head() const override { return head_; }
  const Peer& peer() const override { return peer_; }
  std::uint64_t request_bytes() const override { return 1024; }
  std::uint64_t response_bytes() const override { return 200; }

  wire::BodySize request_size() const override { return {}; }
  Result<wire::Progress> read_body(wire::BodySink&) override { return wire::Progress::kEnded; }
  bool request_received() const override { return true; }
  Result<Arrived> body_arrived() override { return Arrived{0, true}; }
  void send_continue() override {}
  bool owes_first_byte() const override { return false; }
  void keep_request() override {}
  bool rewind_request() override { return false; }
  wire::Progress drop_request() override { return wire::Progress::kEnded; }
  void begin_head(int, std::string_view) override {}
  void field(std::string_view, std::string_view) override {}
  void end_head(wire::BodySize) override {}
  void interim(const http::ResponseHead&) override {}
  Result<void> flush() override { return {}; }
  bool blocked() const override { return false; }
  bool responded() const override { return true; }
  std::uint64_t bytes_taken() const override { return 200; }
  void close_after() override {}
  void reset() override {}
  void arm_read() override {}
  void arm_write() override {}
  Result<void> within_grace() const override { return {}; }
  void body_piece(std::string_view) override {}
  void body_end(const http::Fields*) override {}
  Result<void> still_wanted() override { return {}; }
  Result<void> may_take_slot() const override { return {}; }
  Deadline ask_again(TimePoint) const override { return kNever; }

 private:
  const http::RequestHead& head_;
  Peer peer_;
};

/// An exchange that went well.
class AccessLine : public benchmark::Fixture {
 protected:
  AccessLine() {
    endpoint_.name = "credit-scoring";
    deployment_.name = "blue";
    ids_.generated = new_uuid();
    ids_.request_id = view_of(ids_.generated);
    record_.endpoint = &endpoint_;
    record_.route.deployment = &deployment_;
    record_.caller = {model::AuthType::kKey, "primary"};
    record_.ids = &ids_;
    record_.begun = record_.queued = record_.leased = TimePoint{} + 1h;
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
    append_access_line(line, 7, downstream_, record_);
    benchmark::DoNotOptimize(line.data());
  }
  state.counters["bytes"] = static_cast<double>(line.size());
}

/// With the way through the ring to a writer that throws the lines away. When it cannot keep up lines are dropped, as they
/// would be.
BENCHMARK_F(AccessLine, Write)(benchmark::State& state) {
  const auto writer = runtime::LineWriter::open("/dev/null", 1);
  if (!writer.ok()) return state.SkipWithError("no writer");
  for (auto _ : state) write_access_line(**writer, 0, 7, downstream_, record_);
  state.counters["dropped"] = benchmark::Counter(static_cast<double>((*writer)->dropped()), benchmark::Counter::kAvgIterations);
}

}  // namespace
}  // namespace router::proxy
