#include <benchmark/benchmark.h>

#include <boost/asio/buffer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <cstring>
#include <deque>
#include <string>

#include "bench/micro/measured.h"
#include "router/runtime/buffer.h"

/// The memory of a message in flight: beast::flat_buffer, and Buffer with its shard's pool (docs/decisions/0065). The same in
/// both: 32 connections, each of which takes 16 KB when something arrives, gets 1 KB written, takes it out, and holds no memory
/// again, since idle connections are to hold none. So a connection takes memory while others have theirs.
namespace router {
namespace {

constexpr std::size_t kConnections = 32;
constexpr std::size_t kBlockBytes = runtime::BufferPool::kBlockBytes;
const std::string kRequest(1024, 'x');

void FlatBuffer(benchmark::State& state) {
  std::deque<boost::beast::flat_buffer> buffers(kConnections);
  std::size_t next = 0;
  const bench::Measured measured(state);
  for (auto _ : state) {
    boost::beast::flat_buffer& arriving = buffers[next++ % kConnections];
    std::memcpy(arriving.prepare(kBlockBytes).data(), kRequest.data(), kRequest.size());
    arriving.commit(kRequest.size());
    benchmark::DoNotOptimize(arriving.data());
    boost::beast::flat_buffer& ended = buffers[next % kConnections];
    ended.clear();
    ended.shrink_to_fit();
  }
}
BENCHMARK(FlatBuffer)->Name("MessageMemory/beast_flat_buffer");

void OwnBuffer(benchmark::State& state) {
  runtime::BufferPool pool;
  std::deque<runtime::Buffer> buffers;
  for (std::size_t i = 0; i < kConnections; ++i) buffers.emplace_back(pool);
  std::size_t next = 0;
  const bench::Measured measured(state);
  for (auto _ : state) {
    runtime::Buffer& arriving = buffers[next++ % kConnections];
    arriving.reserve(kBlockBytes);
    std::memcpy(arriving.space().data(), kRequest.data(), kRequest.size());
    arriving.commit(kRequest.size());
    benchmark::DoNotOptimize(arriving.view());
    buffers[next % kConnections].release();
  }
}
BENCHMARK(OwnBuffer)->Name("MessageMemory/router_buffer");

}  // namespace
}  // namespace router
