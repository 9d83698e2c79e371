#include <benchmark/benchmark.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <deque>
#include <memory>
#include <vector>

#include "bench/micro/measured.h"
#include "router/base/task.h"
#include "router/runtime/shard.h"
#include "router/runtime/socket.h"
#include "router/runtime/task_group.h"
#include "router/runtime/wakeup.h"

/// Waiting until a socket can be read: by Asio, and by the router's poller (docs/decisions/0015, 0065). The same in all rows:
/// real pairs of sockets; a round writes one byte to each of them, ends its turn of the loop, and is over when each waiter was
/// told, has read its byte with one recv and waits again. So a round goes through Asio's loop and epoll in every row. What the
/// bytes alone cost, without any waiting, is the row WaitForByte/nothing. The argument is the number of sockets.
namespace router {
namespace {

using namespace std::chrono_literals;
namespace asio = boost::asio;
using boost::system::error_code;
using Executor = asio::io_context::executor_type;
using AsioSocket = asio::basic_stream_socket<asio::local::stream_protocol, Executor>;
using AsioTimer = asio::basic_waitable_timer<std::chrono::steady_clock, asio::wait_traits<std::chrono::steady_clock>, Executor>;
constexpr auto kAwaited = asio::as_tuple(asio::use_awaitable_t<Executor>());
constexpr std::chrono::seconds kTimeout{30};

const SteadyClock kClock;

using Bytes = std::array<char, 4096>;

/// The far ends of pairs of sockets.
class Peers {
 public:
  explicit Peers(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      std::array<int, 2> pair{};
      if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair.data()) != 0) std::abort();
      far_.push_back(pair[0]);
      near_.push_back(pair[1]);
    }
  }
  Peers(const Peers&) = delete;
  Peers& operator=(const Peers&) = delete;
  ~Peers() {
    for (const int descriptor : far_) ::close(descriptor);
  }

  /// The other ends; who uses them closes them.
  const std::vector<int>& near() const { return near_; }
  void write_to_all() const {
    for (const int descriptor : far_) {
      if (::send(descriptor, "x", 1, MSG_NOSIGNAL) != 1) std::abort();
    }
  }

 private:
  std::vector<int> far_;
  std::vector<int> near_;
};

/// Round after round, as long as the row lasts. `stop` ends the loop.
template <class Stop>
class Rounds {
 public:
  Rounds(benchmark::State& state, asio::io_context& io, const Peers& peers, Stop stop)
      : state_(state), io_(io), peers_(peers), stop_(stop) {}

  /// After the waiters have begun, or have posted that they will.
  void start() {
    asio::post(io_, [this] {
      measured_ = std::make_unique<bench::Measured>(state_, peers_.near().size());
      begin();
    });
  }

  /// A waiter was told, has read and waits again.
  void one_is_done() {
    if (++done_ < peers_.near().size()) return;
    done_ = 0;
    asio::post(io_, [this] { begin(); });
  }

 private:
  void begin() {
    if (state_.KeepRunning()) return peers_.write_to_all();
    measured_.reset();
    stop_();
  }

  benchmark::State& state_;
  asio::io_context& io_;
  const Peers& peers_;
  Stop stop_;
  std::size_t done_ = 0;
  std::unique_ptr<bench::Measured> measured_;
};

void read_byte(int descriptor) {
  Bytes bytes;
  if (::recv(descriptor, bytes.data(), bytes.size(), 0) != 1) std::abort();
}

std::size_t sockets_of(const benchmark::State& state) { return static_cast<std::size_t>(state.range(0)); }

void Nothing(benchmark::State& state) {
  const Peers peers(sockets_of(state));
  {
    const bench::Measured measured(state, sockets_of(state));
    for (auto _ : state) {
      peers.write_to_all();
      for (const int descriptor : peers.near()) read_byte(descriptor);
    }
  }
  for (const int descriptor : peers.near()) ::close(descriptor);
}
BENCHMARK(Nothing)->Name("WaitForByte/nothing")->Arg(1)->Arg(32)->Arg(256);

/// `make(socket, rounds)` starts one waiter and returns what must live as long as it waits.
template <class Make>
void run_with_asio(benchmark::State& state, Make make) {
  asio::io_context io(BOOST_ASIO_CONCURRENCY_HINT_UNSAFE_IO);
  const Peers peers(sockets_of(state));
  Rounds rounds(state, io, peers, [&io] { io.stop(); });
  std::deque<AsioSocket> sockets;
  std::vector<decltype(make(sockets.front(), rounds))> waiters;
  for (const int descriptor : peers.near()) {
    sockets.emplace_back(io, asio::local::stream_protocol(), descriptor);
    waiters.push_back(make(sockets.back(), rounds));
  }
  rounds.start();
  io.run();
}

template <class Rounds>
class AsioWaiter {
 public:
  AsioWaiter(AsioSocket& socket, Rounds& rounds) : socket_(socket), rounds_(rounds) { wait(); }

 private:
  void wait() {
    socket_.async_wait(asio::socket_base::wait_read, [this](const error_code& error) {
      if (error) return;
      read_byte(socket_.native_handle());
      wait();
      rounds_.one_is_done();
    });
  }
  AsioSocket& socket_;
  Rounds& rounds_;
};

/// The buffer is there while it waits, and a recv that finds nothing comes before each wait.
template <class Rounds>
class AsioReader {
 public:
  AsioReader(AsioSocket& socket, Rounds& rounds) : socket_(socket), rounds_(rounds) { read(); }

 private:
  void read() {
    socket_.async_read_some(asio::buffer(bytes_), [this](const error_code& error, std::size_t) {
      if (error) return;
      read();
      rounds_.one_is_done();
    });
  }
  AsioSocket& socket_;
  Rounds& rounds_;
  Bytes bytes_;
};

void WaitByAsyncWait(benchmark::State& state) {
  run_with_asio(state, [](AsioSocket& socket, auto& rounds) {
    return std::make_unique<AsioWaiter<std::remove_reference_t<decltype(rounds)>>>(socket, rounds);
  });
}
BENCHMARK(WaitByAsyncWait)->Name("WaitForByte/asio_async_wait")->Arg(1)->Arg(32)->Arg(256);

void WaitByReadSome(benchmark::State& state) {
  run_with_asio(state, [](AsioSocket& socket, auto& rounds) {
    return std::make_unique<AsioReader<std::remove_reference_t<decltype(rounds)>>>(socket, rounds);
  });
}
BENCHMARK(WaitByReadSome)->Name("WaitForByte/asio_async_read_some")->Arg(1)->Arg(32)->Arg(256);

/// As `run_with_asio`, on a shard. Its poller is in its loop.
template <class Make>
void run_on_shard(benchmark::State& state, Make make) {
  runtime::Shard shard(0, kClock);
  const Peers peers(sockets_of(state));
  Rounds rounds(state, shard.io(), peers, [&shard] { shard.stop(); });
  std::deque<runtime::Socket> sockets;
  std::vector<decltype(make(sockets.front(), rounds))> waiters;
  for (const int descriptor : peers.near()) {
    sockets.emplace_back(shard, descriptor);
    waiters.push_back(make(sockets.back(), rounds));
  }
  rounds.start();
  shard.run();
}

void read_byte(const runtime::Socket& socket) {
  Bytes bytes;
  if (!socket.read(bytes).moved()) std::abort();
}

template <class Rounds>
class OwnWaiter final : public runtime::Waker {
 public:
  OwnWaiter(runtime::Socket& socket, Rounds& rounds) : socket_(socket), rounds_(rounds) {
    socket_.set_waker(this);
    socket_.arm_read();
  }

 private:
  void wake() override {
    read_byte(socket_);
    socket_.arm_read();
    rounds_.one_is_done();
  }
  runtime::Socket& socket_;
  Rounds& rounds_;
};

void WaitByWatch(benchmark::State& state) {
  run_on_shard(state, [](runtime::Socket& socket, auto& rounds) {
    return std::make_unique<OwnWaiter<std::remove_reference_t<decltype(rounds)>>>(socket, rounds);
  });
}
BENCHMARK(WaitByWatch)->Name("WaitForByte/router_watch")->Arg(1)->Arg(32)->Arg(256);

// A coroutine that waits for a byte or for its deadline, which never comes: what an exchange does twice. In each wait the
// deadline is 30 seconds from then.

/// The operator of Asio for "whichever comes first".
template <class Rounds>
asio::awaitable<void, Executor> await_either(AsioSocket& socket, Rounds& rounds) {
  using namespace asio::experimental::awaitable_operators;
  AsioTimer timer(socket.get_executor());
  for (;;) {
    timer.expires_after(kTimeout);
    const auto first = co_await (socket.async_wait(asio::socket_base::wait_read, kAwaited) || timer.async_wait(kAwaited));
    if (first.index() != 0) std::abort();
    read_byte(socket.native_handle());
    rounds.one_is_done();
  }
}

/// A timer that ends the socket's wait, set anew for each: so does beast::basic_stream.
template <class Rounds>
asio::awaitable<void, Executor> await_with_timer(AsioSocket& socket, Rounds& rounds) {
  AsioTimer timer(socket.get_executor());
  for (;;) {
    timer.expires_after(kTimeout);
    timer.async_wait([&socket](const error_code& error) {
      if (!error) socket.cancel();
    });
    const auto [error] = co_await socket.async_wait(asio::socket_base::wait_read, kAwaited);
    if (error) co_return;
    read_byte(socket.native_handle());
    rounds.one_is_done();
  }
}

/// A timer that is set once, and looks at the deadline when it fires: the router's way, with Asio's means. It never fires here.
template <class Rounds>
asio::awaitable<void, Executor> await_with_lazy_timer(AsioSocket& socket, Rounds& rounds) {
  AsioTimer timer(socket.get_executor());
  Deadline deadline = kNever;
  timer.expires_after(kTimeout);
  timer.async_wait([&socket, &deadline](const error_code& error) {
    if (!error && deadline <= kClock.now()) socket.cancel();
  });
  for (;;) {
    deadline = kClock.now() + kTimeout;
    benchmark::DoNotOptimize(deadline);
    const auto [error] = co_await socket.async_wait(asio::socket_base::wait_read, kAwaited);
    if (error) co_return;
    read_byte(socket.native_handle());
    rounds.one_is_done();
  }
}

template <class Start>
void await_with_asio(benchmark::State& state, Start start) {
  run_with_asio(state, [&start](AsioSocket& socket, auto& rounds) {
    asio::co_spawn(socket.get_executor(), start(socket, rounds), asio::detached);
    return 0;
  });
}

void AwaitEither(benchmark::State& state) {
  await_with_asio(state, [](AsioSocket& socket, auto& rounds) { return await_either(socket, rounds); });
}
BENCHMARK(AwaitEither)->Name("AwaitByteOrDeadline/asio_operator_or")->Arg(1)->Arg(32)->Arg(256);

void AwaitWithTimer(benchmark::State& state) {
  await_with_asio(state, [](AsioSocket& socket, auto& rounds) { return await_with_timer(socket, rounds); });
}
BENCHMARK(AwaitWithTimer)->Name("AwaitByteOrDeadline/asio_timer_each")->Arg(1)->Arg(32)->Arg(256);

void AwaitWithLazyTimer(benchmark::State& state) {
  await_with_asio(state, [](AsioSocket& socket, auto& rounds) { return await_with_lazy_timer(socket, rounds); });
}
BENCHMARK(AwaitWithLazyTimer)->Name("AwaitByteOrDeadline/asio_lazy_timer")->Arg(1)->Arg(32)->Arg(256);

template <class Rounds>
Task<void> await_wakeup(runtime::Socket& socket, Rounds& rounds) {
  runtime::Wakeup wakeup(socket.shard());
  socket.set_waker(&wakeup);
  for (;;) {
    socket.arm_read();
    if (!co_await wakeup.wait(socket.shard().now() + kTimeout)) std::abort();
    read_byte(socket);
    rounds.one_is_done();
  }
}

void AwaitWakeup(benchmark::State& state) {
  run_on_shard(state, [](runtime::Socket& socket, auto& rounds) {
    auto own = std::make_unique<runtime::TaskGroup>(socket.shard(), 1);
    own->try_spawn(await_wakeup(socket, rounds));
    return own;
  });
}
BENCHMARK(AwaitWakeup)->Name("AwaitByteOrDeadline/router_wakeup")->Arg(1)->Arg(32)->Arg(256);

}  // namespace
}  // namespace router
