#include <openssl/ssl.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <deque>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "bench/load/client_contexts.h"
#include "bench/load/client_link.h"
#include "router/fleet_link/port.h"

/// Makes the load that wrk cannot make: requests at planned times, whether or not earlier ones were answered; TLS handshakes
/// without requests; idle connections. Has one thread, connects to 127.0.0.1 only, and prints one line of JSON.
///
///   bench_client steady      --port P --rate R --seconds S | --plan FILE   [--record FILE] [--first ID]
///   bench_client closed      --port P --seconds S
///   bench_client handshakes  --port P --seconds S [--resume 1]
///   bench_client hold        --port P                                      prints, then waits until its input ends
///   for all: [--tls 1] [--connections N] [--path P] [--body BYTES]; the key in the environment (BENCH_KEY)
///            [--facts TEXT]: as a router that sends requests on, with this value of `x-ir`; in the environment,
///            BENCH_FLEET_KEY
///
/// `closed`: each connection sends the next request when the last one is answered.
/// A latency is the time from the PLANNED start of a request to the last byte of its answer. So it includes the wait behind a
/// request that stalls, as a user would see it. Lines of --plan: nanoseconds from the start, microseconds of work.
/// Ids count from --first (0). Lines of --record: id, planned, sent, answered (nanoseconds of the monotonic clock), status.
namespace bench {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;
constexpr std::uint64_t kLead = kSecond / 5;       // between reading the plan and its first request
constexpr std::uint64_t kPatience = 60 * kSecond;  // after the last planned request; requests still unanswered then have failed
constexpr std::uint64_t kWarmUp = kSecond / 2;     // at the start of a steady rate: not counted
constexpr std::size_t kOpeningMax = 64;            // connections that `hold` opens at the same time

std::uint64_t now() {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * kSecond + static_cast<std::uint64_t>(time.tv_nsec);
}

class Options {
 public:
  Options(int argc, char** argv) {
    for (int index = 2; index + 1 < argc; index += 2) values_[argv[index]] = argv[index + 1];
    if (argc < 2 || argc % 2 != 0)
      give_up("usage: bench_client steady|closed|handshakes|hold --option value ...; see client.cpp");
  }
  std::string text(const std::string& name, const std::string& otherwise = "") const {
    const auto found = values_.find("--" + name);
    return found == values_.end() ? otherwise : found->second;
  }
  double number(const std::string& name, double otherwise = 0) const {
    const std::string found = text(name);
    return found.empty() ? otherwise : std::strtod(found.c_str(), nullptr);
  }

 private:
  std::map<std::string, std::string> values_;
};

/// What all modes share: the connections, the events, the request.
class Client {
 public:
  explicit Client(const Options& options)
      : port_(static_cast<std::uint16_t>(options.number("port"))),
        facts_(options.text("facts")),
        context_(options.number("tls") == 0 ? nullptr
                 : facts_.empty()           ? make_context()
                                            : member().get()),
        connections_(static_cast<std::size_t>(options.number("connections", 32))),
        path_(options.text("path", "/")),
        body_(static_cast<std::size_t>(options.number("body", 1024)), 'x') {
    if (poll_ < 0 || timer_ < 0) give_up("epoll, timerfd");
    const char* key = std::getenv("BENCH_KEY");
    const std::string own =
        facts_.empty() ? "Authorization: Bearer " + std::string(key != nullptr ? key : "") : "x-ir: " + facts_;
    rest_of_head_ = " HTTP/1.1\r\nHost: 127.0.0.1\r\n" + own +
                    "\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body_.size()) + "\r\n\r\n";
    watch(timer_, EPOLLIN);
  }

  Link& open(SSL_SESSION* session = nullptr) {
    static constexpr std::string_view kMember(&router::fleet_link::kRequestsByte, 1);
    auto link = std::make_unique<Link>(port_, context_, session, facts_.empty() ? std::string_view() : kMember);
    if (link->state() == Link::State::kFailed) give_up("cannot connect");
    watch(link->descriptor(), EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
    Link& opened = *link;
    links_[opened.descriptor()] = std::move(link);
    return opened;
  }
  void drop(const Link& link) { links_.erase(link.descriptor()); }

  std::string request(const std::string& query = "") const { return "POST " + path_ + query + rest_of_head_ + body_; }
  std::size_t connections() const { return connections_; }
  std::size_t open_links() const { return links_.size(); }

  /// Waits until `time` or until a link has an event; calls `on_link` for each link that has one.
  void wait(std::uint64_t time, const std::function<void(Link&)>& on_link) {
    itimerspec when{};
    when.it_value.tv_sec = static_cast<time_t>(time / kSecond);
    when.it_value.tv_nsec = static_cast<long>(time % kSecond);
    if (::timerfd_settime(timer_, TFD_TIMER_ABSTIME, &when, nullptr) != 0) give_up("timerfd_settime");
    std::array<epoll_event, 256> events;
    const int count = ::epoll_wait(poll_, events.data(), events.size(), 1000);
    for (int index = 0; index < count; ++index) {
      const auto found = links_.find(events[static_cast<std::size_t>(index)].data.fd);
      if (found != links_.end()) on_link(*found->second);
    }
  }

  /// Notes the version and the cipher of this run's TLS connections, as JSON.
  void note_tls(const Link& link) {
    if (link.ssl() == nullptr || !tls_.empty()) return;
    tls_ = std::string(", \"tls\": \"") + SSL_get_version(link.ssl()) + " " + SSL_get_cipher_name(link.ssl()) + "\"";
  }
  const char* tls() const { return tls_.c_str(); }

 private:
  void watch(int descriptor, std::uint32_t what) const {
    epoll_event event{};
    event.events = what;
    event.data.fd = descriptor;
    if (::epoll_ctl(poll_, EPOLL_CTL_ADD, descriptor, &event) != 0) give_up("epoll_ctl");
  }

  static const MemberContext& member() {
    static const MemberContext context;
    return context;
  }

  std::uint16_t port_;
  std::string facts_;
  SSL_CTX* context_;
  std::size_t connections_;
  std::string path_;
  std::string body_;
  std::string rest_of_head_;
  std::string tls_;
  int poll_ = ::epoll_create1(EPOLL_CLOEXEC);
  int timer_ = ::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  std::unordered_map<int, std::unique_ptr<Link>> links_;
};

double percentile(const std::vector<std::uint64_t>& sorted, double share) {
  if (sorted.empty()) return 0;
  const auto at = static_cast<std::size_t>(share * static_cast<double>(sorted.size()));
  return static_cast<double>(sorted[std::min(at, sorted.size() - 1)]) / 1000;
}

/// Sends requests at planned times, over at most `connections` connections. A request that finds none free waits, and its
/// latency includes the wait.
class Steady {
 public:
  explicit Steady(const Options& options)
      : client_(options), rate_(options.number("rate")), first_(static_cast<std::size_t>(options.number("first"))) {
    if (const std::string plan = options.text("plan"); !plan.empty()) {
      read_plan(plan);
    } else {
      for (double at = 0; at < options.number("seconds", 5); at += 1 / rate_)
        planned_.push_back({static_cast<std::uint64_t>(at * kSecond), 0});
      warm_up_ = kWarmUp;
    }
    if (const std::string record = options.text("record"); !record.empty()) {
      record_ = std::fopen(record.c_str(), "we");
      if (record_ == nullptr) give_up("cannot write " + record);
    }
    if (planned_.empty()) give_up("nothing is planned");
  }

  int run() {
    if (record_ == nullptr) {  // connections are made before the clock runs
      while (client_.open_links() < client_.connections()) client_.open();
      const std::uint64_t until = now() + 10 * kSecond;
      while (idle_.size() < client_.connections()) {
        client_.wait(now() + kSecond, [this](Link& link) { on_link(link); });
        if (now() > until) give_up("connections were not made within 10 s");
      }
    }
    const std::uint64_t begin = now() + kLead;
    for (Planned& each : planned_) each.at += begin;
    const std::uint64_t end = planned_.back().at + kPatience;
    while (answered_ + failed_ < planned_.size() && now() < end) {
      while (next_ < planned_.size() && planned_[next_].at <= now()) waiting_.push_back(next_++);
      assign();
      client_.wait(next_ < planned_.size() ? planned_[next_].at : end, [this](Link& link) { on_link(link); });
    }
    return report(begin);
  }

 private:
  struct Planned {
    std::uint64_t at = 0;
    std::uint64_t work_us = 0;
    std::uint64_t sent = 0;
  };

  void read_plan(const std::string& path) {
    std::ifstream file(path);
    Planned each;
    while (file >> each.at >> each.work_us) planned_.push_back(each);
  }

  void assign() {
    while (!waiting_.empty() && !idle_.empty()) {
      Link* link = idle_.back();
      idle_.pop_back();
      start(*link, waiting_.front());
      waiting_.pop_front();
    }
    while (opening_ < waiting_.size() && client_.open_links() < client_.connections()) {
      client_.open();
      ++opening_;
    }
  }

  void start(Link& link, std::size_t number) {
    Planned& each = planned_[number];
    running_[&link] = number;
    each.sent = now();
    link.send(record_ == nullptr
                  ? client_.request()
                  : client_.request("?work_us=" + std::to_string(each.work_us) + "&id=" + std::to_string(first_ + number)));
    settle(link, link.advance());
  }

  void on_link(Link& link) {
    const bool was_opening = link.state() == Link::State::kOpening;
    const Link::State state = link.advance();
    if (was_opening && state != Link::State::kOpening) {
      if (opening_ > 0) --opening_;
      if (state == Link::State::kIdle) {
        client_.note_tls(link);
        idle_.push_back(&link);
      }
    }
    settle(link, state);
    assign();
  }

  void settle(Link& link, Link::State state) {
    const auto running = running_.find(&link);
    if (state == Link::State::kIdle && running != running_.end()) {
      finish(running->second, link.status());
      running_.erase(running);
      idle_.push_back(&link);
    } else if (state == Link::State::kFailed) {
      if (running != running_.end()) {
        finish(running->second, 0);
        running_.erase(running);
      }
      std::erase(idle_, &link);
      client_.drop(link);
    }
  }

  void finish(std::size_t number, int status) {
    const Planned& each = planned_[number];
    const std::uint64_t time = now();
    ++(status == 200 ? answered_ : failed_);
    ++statuses_[status];
    if (each.at >= planned_.front().at + warm_up_ && status == 200) {
      latencies_.push_back(time - each.at);
      lateness_.push_back(each.sent - each.at);
    }
    if (record_ != nullptr) {
      std::fprintf(record_, "%zu %llu %llu %llu %d\n", first_ + number, static_cast<unsigned long long>(each.at),
                   static_cast<unsigned long long>(each.sent), static_cast<unsigned long long>(time), status);
    }
  }

  int report(std::uint64_t begin) {
    if (record_ != nullptr) std::fclose(record_);
    std::sort(latencies_.begin(), latencies_.end());
    std::sort(lateness_.begin(), lateness_.end());
    std::string statuses;
    for (const auto& [status, count] : statuses_) {
      statuses += (statuses.empty() ? "\"" : ", \"") + std::to_string(status) + "\": " + std::to_string(count);
    }
    std::printf(
        "{\"begin\": %llu, \"planned\": %zu, \"answered\": %zu, \"statuses\": {%s}, \"p50_us\": %.1f, \"p99_us\": %.1f, "
        "\"p999_us\": %.1f, \"sent_late_p99_us\": %.1f%s}\n",
        static_cast<unsigned long long>(begin), planned_.size(), answered_, statuses.c_str(), percentile(latencies_, 0.5),
        percentile(latencies_, 0.99), percentile(latencies_, 0.999), percentile(lateness_, 0.99), client_.tls());
    return answered_ == planned_.size() ? 0 : 1;
  }

  Client client_;
  double rate_;
  std::size_t first_;  // id
  std::uint64_t warm_up_ = 0;
  std::vector<Planned> planned_;
  std::FILE* record_ = nullptr;
  std::size_t next_ = 0;
  std::size_t opening_ = 0;
  std::size_t answered_ = 0;
  std::size_t failed_ = 0;
  std::deque<std::size_t> waiting_;
  std::vector<Link*> idle_;
  std::unordered_map<const Link*, std::size_t> running_;
  std::map<int, std::size_t> statuses_;
  std::vector<std::uint64_t> latencies_;
  std::vector<std::uint64_t> lateness_;
};

/// As many requests as the connections carry, each with the next one when the last is answered. Any answer but 200 ends the
/// run.
int closed(const Options& options) {
  Client client(options);
  std::size_t answered = 0;
  std::size_t busy = client.connections();
  std::uint64_t end = now() + kPatience;
  std::unordered_map<const Link*, bool> asked;
  const auto on_link = [&](Link& link) {
    for (Link::State state = link.advance(); state == Link::State::kIdle; state = link.advance()) {
      client.note_tls(link);
      if (std::exchange(asked[&link], true)) {
        if (link.status() != 200) give_up("a request was answered " + std::to_string(link.status()));
        ++answered;
        if (now() >= end) {
          --busy;
          return client.drop(link);
        }
      }
      link.send(client.request());
    }
    if (link.state() == Link::State::kFailed) give_up("a connection broke");
  };
  while (client.open_links() < client.connections()) client.open();
  end = now() + static_cast<std::uint64_t>(options.number("seconds", 2) * kSecond);
  while (busy > 0 && now() < end + kPatience) client.wait(now() + kSecond, on_link);
  std::printf("{\"answered\": %zu%s}\n", answered, client.tls());
  return busy == 0 ? 0 : 1;
}

/// Makes one handshake after the other on each of `connections` connections, without requests. The next one starts when the
/// server has ended the connection, so that the server has done all its work.
int handshakes(const Options& options) {
  Client client(options);
  const bool resume = options.number("resume") != 0;
  std::size_t full = 0;
  std::size_t resumed = 0;
  const std::uint64_t begin = now();
  const std::uint64_t end = begin + static_cast<std::uint64_t>(options.number("seconds", 2) * kSecond);
  const auto open = [&] { client.open(resume ? latest_session() : nullptr); };
  const auto on_link = [&](Link& link) {
    if (link.advance() == Link::State::kIdle) {
      client.note_tls(link);
      ++(SSL_session_reused(const_cast<SSL*>(link.ssl())) == 1 ? resumed : full);
      link.say_goodbye();
      link.advance();
    }
    if (link.state() == Link::State::kFailed) give_up("a handshake failed");
    if (link.state() == Link::State::kClosed) {
      client.drop(link);
      if (now() < end) open();
    }
  };
  if (resume) {  // gets the first ticket
    open();
    while (client.open_links() > 0 && latest_session() == nullptr && now() < end) client.wait(end, on_link);
    if (latest_session() == nullptr) give_up("the server sent no ticket");
  }
  while (client.open_links() < client.connections()) open();
  while (client.open_links() > 0 && now() < end + kPatience) client.wait(now() + kSecond, on_link);
  std::printf("{\"full\": %zu, \"resumed\": %zu, \"seconds\": %.3f, \"unfinished\": %zu%s}\n", full, resumed,
              static_cast<double>(now() - begin) / kSecond, client.open_links(), client.tls());
  return client.open_links() == 0 ? 0 : 1;
}

/// Opens the connections, sends one request on each, and keeps them idle until the standard input ends.
int hold(const Options& options) {
  Client client(options);
  std::size_t served = 0;
  std::size_t opened = 0;
  std::unordered_map<const Link*, bool> asked;
  std::unordered_map<const Link*, bool> answered;
  const std::uint64_t until = now() + kPatience;
  const auto on_link = [&](Link& link) {
    while (true) {
      if (link.advance() == Link::State::kFailed) give_up("a connection broke");
      if (link.state() != Link::State::kIdle || std::exchange(asked[&link], true)) break;
      client.note_tls(link);
      link.send(client.request());
    }
    if (link.state() == Link::State::kIdle && link.status() == 200 && !std::exchange(answered[&link], true)) ++served;
  };
  while (served < client.connections()) {
    while (opened < client.connections() && opened - served < kOpeningMax) {
      client.open();
      ++opened;
    }
    client.wait(now() + kSecond, on_link);
    if (now() > until) give_up("the connections were not made within a minute");
  }
  std::printf("{\"held\": %zu%s}\n", served, client.tls());
  std::fflush(stdout);
  while (std::getchar() != EOF) {
  }
  return 0;
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  const bench::Options options(argc, argv);
  std::signal(SIGPIPE, SIG_IGN);
  const std::string mode = argv[1];
  if (mode == "steady") return bench::Steady(options).run();
  if (mode == "closed") return bench::closed(options);
  if (mode == "handshakes") return bench::handshakes(options);
  if (mode == "hold") return bench::hold(options);
  bench::give_up("there is no mode " + mode);
}
