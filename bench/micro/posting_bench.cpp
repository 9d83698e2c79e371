#include <benchmark/benchmark.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <utility>

#include "bench/micro/measured.h"
#include "router/runtime/inbox.h"
#include "router/runtime/shard.h"

/// Work for the loop of the own thread: asio::post, and messages to a shard (docs/decisions/0016, 0065). The same in all: 64
/// pieces of work are given to the loop in one turn; the last one that runs begins the next turn.
namespace router {
namespace {

namespace asio = boost::asio;

constexpr std::size_t kPieces = 64;
const SteadyClock kClock;

/// Counts pieces that have run, and says when a turn is over.
class Turn {
 public:
  explicit Turn(benchmark::State& state) : state_(state), measured_(state, kPieces) {}
  bool is_last() { return ++run_ % kPieces == 0; }
  bool goes_on() { return state_.KeepRunning(); }

 private:
  benchmark::State& state_;
  bench::Measured measured_;
  std::size_t run_ = 0;
};

/// `give` gives one piece of work to the loop; `stop` ends the loop.
struct Posting {
  std::unique_ptr<Turn> turn;
  std::function<void(std::size_t)> give;
  std::function<void()> stop;

  void begin() {
    if (!turn->goes_on()) {
      turn.reset();
      return stop();
    }
    for (std::size_t piece = 0; piece < kPieces; ++piece) give(piece);
  }
  void run_piece() {
    if (turn->is_last()) begin();
  }
};

void PostAsio(benchmark::State& state) {
  asio::io_context io(BOOST_ASIO_CONCURRENCY_HINT_UNSAFE_IO);
  const auto busy = asio::make_work_guard(io);
  Posting posting;
  posting.give = [&](std::size_t) { asio::post(io, [&posting] { posting.run_piece(); }); };
  posting.stop = [&] { io.stop(); };
  asio::post(io, [&] {
    posting.turn = std::make_unique<Turn>(state);
    posting.begin();
  });
  io.run();
}
BENCHMARK(PostAsio)->Name("Post/asio_post");

class Piece final : public runtime::Message {
 public:
  explicit Piece(Posting& posting) : posting_(posting) {}

 private:
  void run() override { posting_.run_piece(); }
  void dropped() noexcept override {}
  Posting& posting_;
};

void run_on_shard(benchmark::State& state, runtime::Shard& shard, Posting& posting) {
  posting.stop = [&] { shard.stop(); };
  shard.post([&] {
    posting.turn = std::make_unique<Turn>(state);
    posting.begin();
  });
  shard.run();
}

/// Messages that their sender owns.
void PostMessage(benchmark::State& state) {
  runtime::Shard shard(0, kClock);
  Posting posting;
  std::deque<Piece> pieces;
  for (std::size_t piece = 0; piece < kPieces; ++piece) pieces.emplace_back(posting);
  posting.give = [&](std::size_t piece) { shard.send(pieces[piece]); };
  run_on_shard(state, shard, posting);
}
BENCHMARK(PostMessage)->Name("Post/router_message");

/// Work that is made to a message: what most of the code does that needs no certainty.
void PostWork(benchmark::State& state) {
  runtime::Shard shard(0, kClock);
  Posting posting;
  posting.give = [&](std::size_t) { shard.post([&posting] { posting.run_piece(); }); };
  run_on_shard(state, shard, posting);
}
BENCHMARK(PostWork)->Name("Post/router_post");

}  // namespace
}  // namespace router
