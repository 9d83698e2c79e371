#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <map>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "bench/load/request_reader.h"

/// The replicas of the benchmarks, all in one process with one thread. An answer costs as little as possible, so that the
/// benchmark measures the proxy in front.
///
///   bench_stub COUNT_FILE [REPLICAS [RECORD_FILE]]     listens on a free port of 127.0.0.1 for each replica, prints the ports
///                                                      in one line, serves until it is killed
///
/// The first 8 bytes of COUNT_FILE are the number of POST requests answered so far, in the machine's byte order. A reader maps
/// the file, which costs the stub nothing. The query of a request says what its answer looks like (Order). A replica has one
/// worker, which serves requests with `work_us` one after the other in order of arrival. For each of them the stub writes a
/// line to RECORD_FILE: id, replica, arrival, start, end of service (times in nanoseconds of the monotonic clock).
namespace bench {
namespace {

constexpr std::size_t kScratch = 65536;    // bytes read at once
constexpr std::size_t kUnsentMax = 65536;  // bytes of small answers that a client may leave unread; beyond, it is cut off
constexpr std::size_t kSmall = 16384;  // bytes: a larger body is sent from `kFillerBytes`, and no request may follow meanwhile
constexpr std::size_t kFiller = 256 * 1024;  // bytes of a large body that are sent at once
constexpr std::size_t kReplicasMax = 1000;
constexpr std::uint64_t kMicrosecond = 1000;

[[noreturn]] void give_up(const char* what) {
  std::perror(what);
  std::exit(1);
}

std::uint64_t now() {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(time.tv_nsec);
}

std::string make_head(std::uint64_t size) {
  return "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(size) + "\r\n\r\n";
}

std::string make_usual_answer() {
  std::string body = R"({"prediction": [0.25, 0.75], "padding": ")";
  body.append(200 - 2 - body.size(), 'x').append("\"}");
  return make_head(body.size()) + body;
}
const std::string kUsualAnswer = make_usual_answer();
const std::string kFillerBytes(kFiller, 'x');
/// With X-Accel-Buffering, as servers of events send it: without it nginx delays events, over TLS until the stream has ended.
const std::string kStreamHead =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\nX-Accel-Buffering: no\r\n"
    "Transfer-Encoding: chunked\r\n\r\n";
/// A chunk of 100 bytes: a token of a language model with its framing.
const std::string kEvent = "64\r\ndata: " + std::string(92, 't') + "\n\n\r\n";
const std::string kLastChunk = "0\r\n\r\n";

/// One replica. Its worker is free from `free_at` on.
struct Replica {
  int number = 0;
  int listener = -1;
  std::uint64_t free_at = 0;
};

class Connection {
 public:
  Connection(int descriptor, std::uint64_t serial, Replica& replica)
      : descriptor_(descriptor), serial_(serial), replica_(replica) {}
  ~Connection() { ::close(descriptor_); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// Reads once and appends the complete requests. False: the connection has ended.
  bool read(std::array<char, kScratch>& scratch, std::vector<Order>& ended) {
    const ssize_t size = ::recv(descriptor_, scratch.data(), scratch.size(), 0);
    if (size == 0) return false;
    if (size < 0) return errno == EAGAIN || errno == EINTR;
    return reader_.feed({scratch.data(), static_cast<std::size_t>(size)}, ended);
  }

  void answer(std::uint64_t size) {
    if (size == 200) {
      unsent_ += kUsualAnswer;
      return;
    }
    unsent_ += make_head(size);
    if (size <= kSmall) {
      unsent_.append(size, 'x');
    } else {
      filler_left_ = size;
    }
  }
  void write(std::string_view bytes) { unsent_ += bytes; }

  bool flush() {
    if (!unsent_.empty()) {
      const ssize_t sent = send(unsent_);
      if (sent < 0) return false;
      unsent_.erase(0, static_cast<std::size_t>(sent));
    }
    while (unsent_.empty() && filler_left_ > 0) {
      const std::size_t piece = std::min<std::uint64_t>(filler_left_, kFillerBytes.size());
      const ssize_t sent = send(std::string_view(kFillerBytes).substr(0, piece));
      if (sent < 0) return false;
      filler_left_ -= static_cast<std::uint64_t>(sent);
      if (static_cast<std::size_t>(sent) < piece) break;
    }
    return unsent_.size() <= kUnsentMax;
  }

  bool has_filler() const { return filler_left_ > 0; }
  bool has_unsent() const { return !unsent_.empty() || filler_left_ > 0; }
  std::uint64_t serial() const { return serial_; }
  Replica& replica() { return replica_; }
  bool watches_writable = false;
  Order order;  // the current one, if its answer takes time
  std::uint64_t events_left = 0;
  bool busy = false;  // with `order`

 private:
  /// -1: the connection is broken; 0: the socket accepts no bytes now.
  ssize_t send(std::string_view bytes) const {
    const ssize_t sent = ::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    return sent < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : sent;
  }

  int descriptor_;
  std::uint64_t serial_;
  Replica& replica_;
  RequestReader reader_;
  std::string unsent_;
  std::uint64_t filler_left_ = 0;
};

int listen_on_free_port() {
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (listener < 0 || ::bind(listener, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(listener, 4096) != 0 ||
      ::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    give_up("listen");
  }
  std::printf("%d ", ntohs(address.sin_port));
  return listener;
}

std::atomic<std::uint64_t>& map_count(const char* path) {
  const int file = ::open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (file < 0 || ::ftruncate(file, sizeof(std::uint64_t)) != 0) give_up(path);
  void* memory = ::mmap(nullptr, sizeof(std::uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (memory == MAP_FAILED) give_up("mmap");
  ::close(file);
  return *new (memory) std::atomic<std::uint64_t>(0);
}

class Server {
 public:
  Server(std::atomic<std::uint64_t>& posts, std::size_t replicas, std::FILE* record)
      : posts_(posts), replicas_(replicas), record_(record) {
    if (poll_ < 0 || timer_ < 0) give_up("epoll, timerfd");
    watch(EPOLL_CTL_ADD, timer_, EPOLLIN);
    for (Replica& replica : replicas_) {
      replica.number = static_cast<int>(&replica - replicas_.data());
      replica.listener = listen_on_free_port();
      listeners_[replica.listener] = &replica;
      watch(EPOLL_CTL_ADD, replica.listener, EPOLLIN);
    }
    std::printf("\n");
    std::fflush(stdout);
  }

  [[noreturn]] void run() {
    std::array<epoll_event, 256> events;
    while (true) {
      const int count = ::epoll_wait(poll_, events.data(), events.size(), -1);
      for (int index = 0; index < count; ++index) {
        const epoll_event& event = events[static_cast<std::size_t>(index)];
        if (event.data.fd == timer_) {
          serve_due();
        } else if (const auto listener = listeners_.find(event.data.fd); listener != listeners_.end()) {
          accept(*listener->second);
        } else {
          serve(event.data.fd, event.events);
        }
      }
    }
  }

 private:
  struct Due {
    int descriptor;
    std::uint64_t serial;  // of its connection: the descriptor may be in use again by then
  };

  void watch(int operation, int descriptor, std::uint32_t what) {
    epoll_event event{};
    event.events = what;
    event.data.fd = descriptor;
    if (::epoll_ctl(poll_, operation, descriptor, &event) != 0) give_up("epoll_ctl");
  }

  void accept(Replica& replica) {
    const int descriptor = ::accept4(replica.listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (descriptor < 0) return;
    const int on = 1;
    ::setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    connections_[descriptor] = std::make_unique<Connection>(descriptor, ++serial_, replica);
    watch(EPOLL_CTL_ADD, descriptor, EPOLLIN);
  }

  void serve(int descriptor, std::uint32_t what) {
    const auto found = connections_.find(descriptor);
    if (found == connections_.end()) return;  // it ended earlier in this turn
    Connection& connection = *found->second;
    bool goes_on = true;
    if ((what & ~static_cast<std::uint32_t>(EPOLLOUT)) != 0) {
      ended_.clear();
      goes_on = connection.read(scratch_, ended_) && take(descriptor, connection);
    }
    finish(descriptor, connection, goes_on && connection.flush());
  }

  void finish(int descriptor, Connection& connection, bool goes_on) {
    if (!goes_on) {
      connections_.erase(descriptor);  // closing removes it from epoll
    } else if (connection.has_unsent() != connection.watches_writable) {
      connection.watches_writable = !connection.watches_writable;
      watch(EPOLL_CTL_MOD, descriptor, connection.watches_writable ? EPOLLIN | EPOLLOUT : EPOLLIN);
    }
  }

  /// False: a request arrived before the answer to an earlier one was complete.
  bool take(int descriptor, Connection& connection) {
    for (const Order& order : ended_) {
      if (connection.busy || connection.has_filler()) return false;
      if (order.at_once()) {
        connection.answer(order.size);
        count(order);
      } else {
        begin(descriptor, connection, order);
      }
    }
    return true;
  }

  void begin(int descriptor, Connection& connection, const Order& order) {
    connection.order = order;
    connection.busy = true;
    connection.events_left = order.events;
    if (order.events > 0) {
      connection.write(kStreamHead);
      next_event(descriptor, connection, now());
      return;
    }
    const std::uint64_t arrival = now();
    Replica& replica = connection.replica();
    const std::uint64_t start = std::max(arrival, replica.free_at);
    replica.free_at = start + order.work_us * kMicrosecond;
    if (record_ != nullptr) {
      std::fprintf(record_, "%llu %d %llu %llu %llu\n", static_cast<unsigned long long>(order.id), replica.number,
                   static_cast<unsigned long long>(arrival), static_cast<unsigned long long>(start),
                   static_cast<unsigned long long>(replica.free_at));
    }
    wake_at(replica.free_at, descriptor, connection);
  }

  void next_event(int descriptor, Connection& connection, std::uint64_t time) {
    connection.write(kEvent);
    if (--connection.events_left == 0) {
      connection.write(kLastChunk);
      end_order(connection);
    } else {
      wake_at(time + connection.order.gap_us * kMicrosecond, descriptor, connection);
    }
  }

  void end_order(Connection& connection) {
    connection.busy = false;
    count(connection.order);
  }

  void count(const Order& order) {
    if (order.post) posts_.store(posts_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }

  void wake_at(std::uint64_t time, int descriptor, Connection& connection) {
    due_.emplace(time, Due{descriptor, connection.serial()});
    if (due_.begin()->first == time) set_timer(time);
  }

  void set_timer(std::uint64_t time) {
    itimerspec when{};
    when.it_value.tv_sec = static_cast<time_t>(time / 1'000'000'000);
    when.it_value.tv_nsec = static_cast<long>(time % 1'000'000'000);
    if (::timerfd_settime(timer_, TFD_TIMER_ABSTIME, &when, nullptr) != 0) give_up("timerfd_settime");
  }

  void serve_due() {
    std::uint64_t expirations = 0;
    if (::read(timer_, &expirations, sizeof expirations) < 0 && errno != EAGAIN) give_up("timerfd");
    while (!due_.empty() && due_.begin()->first <= now()) {
      const auto [time, due] = *due_.begin();
      due_.erase(due_.begin());
      const auto found = connections_.find(due.descriptor);
      if (found == connections_.end() || found->second->serial() != due.serial) continue;
      Connection& connection = *found->second;
      if (connection.order.events > 0) {
        next_event(due.descriptor, connection, time);
      } else {
        connection.answer(connection.order.size);
        end_order(connection);
      }
      finish(due.descriptor, connection, connection.flush());
    }
    if (!due_.empty()) set_timer(due_.begin()->first);
    if (record_ != nullptr && due_.empty()) std::fflush(record_);
  }

  int poll_ = ::epoll_create1(EPOLL_CLOEXEC);
  int timer_ = ::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  std::atomic<std::uint64_t>& posts_;
  std::vector<Replica> replicas_;
  std::FILE* record_;
  std::uint64_t serial_ = 0;
  std::unordered_map<int, Replica*> listeners_;
  std::unordered_map<int, std::unique_ptr<Connection>> connections_;
  std::multimap<std::uint64_t, Due> due_;
  std::vector<Order> ended_;
  std::array<char, kScratch> scratch_{};
};

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  const long replicas = argc > 2 ? std::strtol(argv[2], nullptr, 10) : 1;
  if (argc < 2 || argc > 4 || replicas < 1 || replicas > static_cast<long>(bench::kReplicasMax)) {
    std::fprintf(stderr, "usage: bench_stub COUNT_FILE [REPLICAS [RECORD_FILE]]\n");
    return 2;
  }
  std::FILE* record = argc > 3 ? std::fopen(argv[3], "we") : nullptr;
  if (argc > 3 && record == nullptr) bench::give_up(argv[3]);
  std::signal(SIGPIPE, SIG_IGN);
  const auto server = std::make_unique<bench::Server>(bench::map_count(argv[1]), static_cast<std::size_t>(replicas), record);
  server->run();
}
