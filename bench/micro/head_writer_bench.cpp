#include <benchmark/benchmark.h>
#include <sys/socket.h>

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/beast/core/buffer_traits.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/fields.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/serializer.hpp>
#include <memory_resource>
#include <string>
#include <string_view>
#include <vector>

#include "bench/micro/measured.h"
#include "router/http1/message_output.h"
#include "router/runtime/buffer.h"
#include "router/runtime/shard.h"
#include "tests/support/wire.h"

/// The head of a response, from parsed fields to bytes in one block that is ready to be sent: Beast's message and serializer,
/// and the router's MessageOutput (docs/decisions/0065). The same in all: fields that are views into what was received, with
/// Beast's number of the field known (its parser tells), and the same bytes at the end, compared once. The argument is the
/// number of fields.
namespace router {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace beast_http = boost::beast::http;
using boost::system::error_code;

struct Line {
  beast_http::field id;
  std::string_view name;
  std::string_view value;
};

/// What a pod's answer has, then what a pod behind a framework or a mesh adds.
std::vector<Line> lines_of(const benchmark::State& state) {
  using beast_http::field;
  std::vector<Line> lines = {
      {field::date, "Date", "Mon, 03 Nov 2025 10:00:00 GMT"},
      {field::server, "Server", "uvicorn"},
      {field::content_type, "Content-Type", "application/json"},
      {field::unknown, "x-ms-run-function-failed", "False"},
      {field::unknown, "x-ms-server-version", "azmlinfsrv/1.4.0"},
      {field::unknown, "x-request-id", "6f9619ff-8b86-d011-b42d-00c04fc964ff"},
      {field::unknown, "azureml-model-deployment", "blue"},
  };
  static constexpr std::array<std::string_view, 16> kMore = {
      "x-a-0001", "x-a-0002", "x-a-0003", "x-a-0004", "x-a-0005", "x-a-0006", "x-a-0007", "x-a-0008",
      "x-a-0009", "x-a-0010", "x-a-0011", "x-a-0012", "x-a-0013", "x-a-0014", "x-a-0015", "x-a-0016"};
  const auto count = static_cast<std::size_t>(state.range(0));
  while (lines.size() + 1 < count) {
    lines.push_back({field::unknown, kMore[lines.size() - 7], "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"});
  }
  lines.push_back({field::content_length, "Content-Length", "128"});  // where the router writes it
  return lines;
}

std::string expected(const std::vector<Line>& lines) {
  std::string text = "HTTP/1.1 200 OK\r\n";
  for (const Line& line : lines) text.append(line.name).append(": ").append(line.value).append("\r\n");
  return text.append("\r\n");
}

using Block = std::array<char, 16 * 1024>;

template <class Message>
void fill(Message& message, const std::vector<Line>& lines) {
  message.version(11);
  message.result(200);
  for (const Line& line : lines) message.insert(line.id, line.name, line.value);
}

/// The serializer's buffers, copied one after the other: its way to one block. Returns their size.
template <class Fields>
std::size_t serialize(beast_http::response<beast_http::empty_body, Fields>& message, Block& into) {
  beast_http::response_serializer<beast_http::empty_body, Fields> serializer(message);
  std::size_t size = 0;
  error_code error;
  while (!serializer.is_done() && !error) {
    serializer.next(error, [&](error_code&, const auto& buffers) {
      const std::size_t copied = asio::buffer_copy(asio::buffer(into) + size, buffers);
      size += copied;
      serializer.consume(copied);
    });
  }
  return size;
}

void check(benchmark::State& state, std::string_view written, const std::vector<Line>& lines) {
  if (written != expected(lines)) state.SkipWithError("other bytes");
}

void BeastMessage(benchmark::State& state) {
  const std::vector<Line> lines = lines_of(state);
  Block block;
  std::size_t size = 0;
  {
    const bench::Measured measured(state);
    for (auto _ : state) {
      beast_http::response<beast_http::empty_body> message;
      fill(message, lines);
      size = serialize(message, block);
      benchmark::DoNotOptimize(block);
    }
  }
  check(state, {block.data(), size}, lines);
}
BENCHMARK(BeastMessage)->Name("WriteHead/beast_message")->Arg(8)->Arg(24);

/// The fields in memory of its own, taken once for all messages: the best that Beast's allocator can do.
void BeastMessageInArena(benchmark::State& state) {
  using Allocator = std::pmr::polymorphic_allocator<char>;
  using Fields = beast_http::basic_fields<Allocator>;
  const std::vector<Line> lines = lines_of(state);
  Block block;
  Block memory;
  std::size_t size = 0;
  {
    const bench::Measured measured(state);
    for (auto _ : state) {
      std::pmr::monotonic_buffer_resource arena(memory.data(), memory.size());
      beast_http::response<beast_http::empty_body, Fields> message(std::piecewise_construct, std::make_tuple(),
                                                                   std::make_tuple(Allocator(&arena)));
      fill(message, lines);
      size = serialize(message, block);
      benchmark::DoNotOptimize(block);
    }
  }
  check(state, {block.data(), size}, lines);
}
BENCHMARK(BeastMessageInArena)->Name("WriteHead/beast_message_in_arena")->Arg(8)->Arg(24);

/// The serializer alone: for a message that is there already, as Beast's parser would have left it, and that nobody edits.
void BeastSerializer(benchmark::State& state) {
  const std::vector<Line> lines = lines_of(state);
  beast_http::response<beast_http::empty_body> message;
  fill(message, lines);
  Block block;
  std::size_t size = 0;
  {
    const bench::Measured measured(state);
    for (auto _ : state) {
      size = serialize(message, block);
      benchmark::DoNotOptimize(block);
    }
  }
  check(state, {block.data(), size}, lines);
}
BENCHMARK(BeastSerializer)->Name("WriteHead/beast_serializer_alone")->Arg(8)->Arg(24);

void begin_and_end_head(http1::MessageOutput& output, const std::vector<Line>& lines) {
  output.begin_response(200, "OK", 1);
  for (const Line& line : lines) {
    if (line.id != beast_http::field::content_length) output.field(line.name, line.value);
  }
  output.end_head({http::Framing::Kind::kLength, 128});
}

/// What a head is as it leaves: the queue has no other way out than a stream.
std::string sent(http1::MessageOutput& output) {
  const SteadyClock clock;
  runtime::Shard shard(0, clock, runtime::Shard::Time::kManual);
  test::Wire wire(shard);
  output.queue().flush(wire.stream);
  std::string text(sizeof(Block), '\0');
  const ssize_t size = ::recv(wire.far.get(), text.data(), text.size(), 0);
  text.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
  return text;
}

void Own(benchmark::State& state) {
  const std::vector<Line> lines = lines_of(state);
  runtime::BufferPool pool;
  http1::MessageOutput output(pool);
  {
    const bench::Measured measured(state);
    for (auto _ : state) {
      begin_and_end_head(output, lines);
      benchmark::DoNotOptimize(output.queue().size());
      output.queue().clear();
      benchmark::ClobberMemory();
    }
  }
  begin_and_end_head(output, lines);
  check(state, sent(output), lines);
}
BENCHMARK(Own)->Name("WriteHead/router_message_output")->Arg(8)->Arg(24);

}  // namespace
}  // namespace router
