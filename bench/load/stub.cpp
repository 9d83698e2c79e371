#include <absl/strings/match.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

/// The replica of the load benchmark: answers every request with the same 200 bytes, on one thread, and costs as little as it
/// can, so that the proxy in front of it is what is measured.
///
///   bench_stub COUNT_FILE     listens on a free port of 127.0.0.1, prints the port, serves until it is killed
///
/// HTTP/1.1 with keep-alive and pipelining; bodies by Content-Length or chunked (RFC 9112, sections 6 and 7) are read to their
/// end before the answer. It trusts its proxy: framing is not validated. The first 8 bytes of COUNT_FILE are the number of POST
/// requests answered so far, in the machine's byte order; who measures maps the file and costs the stub nothing.
namespace bench {
namespace {

constexpr std::size_t kHeadMax = 65536;    // bytes of a head, a chunk's size line or a trailer line
constexpr std::size_t kScratch = 65536;    // bytes read at once
constexpr std::size_t kUnsentMax = 65536;  // bytes of answers that a client may leave unread, then it is cut off

std::string make_answer() {
  std::string body = R"({"prediction": [0.25, 0.75], "padding": ")";
  body.append(200 - 2 - body.size(), 'x').append("\"}");
  return "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 200\r\n\r\n" + body;
}
const std::string kAnswer = make_answer();

[[noreturn]] void give_up(const char* what) {
  std::perror(what);
  std::exit(1);
}

/// Where a connection is in its current request. Tells how many requests ended, which the caller answers.
class RequestReader {
 public:
  struct Ended {
    unsigned requests = 0;
    unsigned posts = 0;
  };

  /// Takes what has arrived. False: this is not HTTP, or more than we bear.
  bool feed(std::string_view bytes, Ended& ended) {
    if (!rest_.empty()) bytes = rest_.append(bytes);
    std::size_t taken = 0;
    while (taken < bytes.size()) {
      const std::size_t step = advance(bytes.substr(taken), ended);
      if (failed_) return false;
      if (step == 0) break;
      taken += step;
    }
    std::string left(bytes.substr(taken));
    rest_ = std::move(left);
    return rest_.size() <= kHeadMax;
  }

 private:
  enum class State { kHead, kBody, kChunkSize, kChunk, kTrailers };

  std::size_t advance(std::string_view bytes, Ended& ended) {
    switch (state_) {
      case State::kHead: return head(bytes, ended);
      case State::kBody: return data(bytes, State::kHead, ended);
      case State::kChunkSize: return chunk_size(bytes);
      case State::kChunk: return data(bytes, State::kChunkSize, ended);
      case State::kTrailers: return trailer(bytes, ended);
    }
    std::abort();
  }

  void end_request(Ended& ended) {
    state_ = State::kHead;
    ++ended.requests;
    if (post_) ++ended.posts;
  }

  std::size_t head(std::string_view bytes, Ended& ended) {
    const std::size_t end = bytes.find("\r\n\r\n");
    if (end == std::string_view::npos) return 0;
    const std::string_view text = bytes.substr(0, end + 2);
    post_ = text.starts_with("POST ");
    left_ = 0;
    bool chunked = false;
    for (std::size_t line = text.find("\r\n") + 2; line < text.size(); line = text.find("\r\n", line) + 2) {
      const std::string_view field = text.substr(line, text.find("\r\n", line) - line);
      if (absl::StartsWithIgnoreCase({field.data(), field.size()}, "content-length:")) {
        std::string_view value = field.substr(15);
        value.remove_prefix(std::min(value.find_first_not_of(" \t"), value.size()));
        if (std::from_chars(value.data(), value.data() + value.size(), left_).ec != std::errc()) failed_ = true;
      } else if (absl::StartsWithIgnoreCase({field.data(), field.size()}, "transfer-encoding:")) {
        chunked = true;
      }
    }
    if (chunked) {
      state_ = State::kChunkSize;
    } else if (left_ > 0) {
      state_ = State::kBody;
    } else {
      end_request(ended);
    }
    return end + 4;
  }

  std::size_t data(std::string_view bytes, State next, Ended& ended) {
    const std::size_t taken = std::min<std::uint64_t>(left_, bytes.size());
    left_ -= taken;
    if (left_ == 0) {
      if (next == State::kHead) {
        end_request(ended);
      } else {
        state_ = next;
      }
    }
    return taken;
  }

  std::size_t chunk_size(std::string_view bytes) {
    const std::size_t end = bytes.find("\r\n");
    if (end == std::string_view::npos) return 0;
    std::uint64_t size = 0;
    if (std::from_chars(bytes.data(), bytes.data() + end, size, 16).ec != std::errc()) failed_ = true;
    left_ = size + 2;  // with the line end after the data
    state_ = size == 0 ? State::kTrailers : State::kChunk;
    return end + 2;
  }

  std::size_t trailer(std::string_view bytes, Ended& ended) {
    const std::size_t end = bytes.find("\r\n");
    if (end == std::string_view::npos) return 0;
    if (end == 0) end_request(ended);
    return end + 2;
  }

  State state_ = State::kHead;
  bool post_ = false;
  bool failed_ = false;
  std::uint64_t left_ = 0;  // bytes of the body, or of the chunk with its line end
  std::string rest_;        // of a head or line that is not complete
};

class Connection {
 public:
  explicit Connection(int descriptor) : descriptor_(descriptor) {}
  ~Connection() { ::close(descriptor_); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// False: the connection is over.
  bool on_readable(std::array<char, kScratch>& scratch, std::atomic<std::uint64_t>& posts) {
    const ssize_t size = ::recv(descriptor_, scratch.data(), scratch.size(), 0);
    if (size == 0) return false;
    if (size < 0) return errno == EAGAIN || errno == EINTR;
    RequestReader::Ended ended;
    if (!reader_.feed({scratch.data(), static_cast<std::size_t>(size)}, ended)) return false;
    posts.store(posts.load(std::memory_order_relaxed) + ended.posts, std::memory_order_relaxed);
    if (ended.requests == 0) return true;
    if (ended.requests == 1 && unsent_.empty()) return send(kAnswer);
    for (unsigned request = 0; request < ended.requests; ++request) unsent_ += kAnswer;
    return flush();
  }

  bool flush() {
    if (unsent_.empty()) return true;
    const std::string bytes = std::move(unsent_);
    unsent_.clear();
    return send(bytes);
  }

  bool has_unsent() const { return !unsent_.empty(); }

 private:
  bool send(std::string_view bytes) {
    const ssize_t sent = ::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN && errno != EINTR) return false;
    unsent_ = bytes.substr(sent < 0 ? 0 : static_cast<std::size_t>(sent));
    return unsent_.size() <= kUnsentMax;
  }

  int descriptor_;
  RequestReader reader_;
  std::string unsent_;
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
  std::printf("%d\n", ntohs(address.sin_port));
  std::fflush(stdout);
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
  explicit Server(std::atomic<std::uint64_t>& posts) : listener_(listen_on_free_port()), posts_(posts) {
    if (poll_ < 0) give_up("epoll");
    watch(EPOLL_CTL_ADD, listener_, EPOLLIN);
  }

  [[noreturn]] void run() {
    std::array<epoll_event, 256> events;
    while (true) {
      const int count = ::epoll_wait(poll_, events.data(), events.size(), -1);
      for (int index = 0; index < count; ++index) {
        const epoll_event& event = events[static_cast<std::size_t>(index)];
        if (event.data.fd == listener_) {
          accept();
        } else {
          serve(event.data.fd, event.events);
        }
      }
    }
  }

 private:
  void watch(int operation, int descriptor, std::uint32_t what) {
    epoll_event event{};
    event.events = what;
    event.data.fd = descriptor;
    if (::epoll_ctl(poll_, operation, descriptor, &event) != 0) give_up("epoll_ctl");
  }

  void accept() {
    const int descriptor = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (descriptor < 0) return;
    const int on = 1;
    ::setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    connections_[descriptor] = std::make_unique<Connection>(descriptor);
    watch(EPOLL_CTL_ADD, descriptor, EPOLLIN);
  }

  void serve(int descriptor, std::uint32_t what) {
    Connection& connection = *connections_.at(descriptor);
    const bool had_unsent = connection.has_unsent();
    bool goes_on = (what & EPOLLOUT) == 0 || connection.flush();
    if (goes_on && (what & ~static_cast<std::uint32_t>(EPOLLOUT)) != 0) goes_on = connection.on_readable(scratch_, posts_);
    if (!goes_on) {
      connections_.erase(descriptor);  // closing takes it out of epoll
    } else if (connection.has_unsent() != had_unsent) {
      watch(EPOLL_CTL_MOD, descriptor, had_unsent ? EPOLLIN : EPOLLIN | EPOLLOUT);
    }
  }

  int poll_ = ::epoll_create1(EPOLL_CLOEXEC);
  int listener_;
  std::atomic<std::uint64_t>& posts_;
  std::unordered_map<int, std::unique_ptr<Connection>> connections_;
  std::array<char, kScratch> scratch_{};
};

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: bench_stub COUNT_FILE\n");
    return 2;
  }
  std::signal(SIGPIPE, SIG_IGN);
  const auto server = std::make_unique<bench::Server>(bench::map_count(argv[1]));
  server->run();
}
