#pragma once

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "router/serving/fleet_thread.h"
#include "tests/support/loopback.h"

/// Several routers' fleet threads in one process, over the loopback and in real time, and one control that the test runs.
namespace router::serving::test {

using router::test::connect_to;
using router::test::Descriptor;
using runtime::Address;
using std::chrono::milliseconds;
using std::chrono::seconds;

inline const std::string kKey(64, 'a');
inline const std::string kOtherKey(64, 'b');
inline tls::PskKeys keys(const std::string& text = kKey) { return tls::PskKeys::parse(text, "keys").value(); }

inline fleet::BootTime boot_now() { return fleet::BootTime(fleet_link::BootClock::now().time_since_epoch()); }

/// Tens of milliseconds where a process has seconds.
inline fleet::Timing quick_timing() {
  fleet::Timing timing;
  timing.coverage = milliseconds(400);
  timing.running_grace = milliseconds(100);
  timing.abort_wait = milliseconds(20);
  timing.beat = milliseconds(25);
  timing.silence = milliseconds(300);
  timing.promise_silence = milliseconds(200);
  return timing;
}

inline fleet_link::LinkOptions quick_links() {
  fleet_link::LinkOptions options;
  options.closing_max = milliseconds(200);
  options.look_again = milliseconds(20);
  options.redial_first = milliseconds(10);
  options.redial_max = milliseconds(50);
  options.probe = {.between = milliseconds(5), .total = milliseconds(500), .each = milliseconds(100)};
  return options;
}

/// A Lease in memory. Control.
class MemoryLease {
 public:
  std::optional<std::string> roster;
  std::uint64_t version = 1;
  bool away = false;
  std::size_t writes = 0;

  void perform(fleet::Action action, FleetThread& asking) {
    if (away) throw std::runtime_error("the API server is away");
    if (std::holds_alternative<fleet::LeaseGet>(action)) {
      asking.post(fleet::LeaseSeen{.sent = boot_now(), .version = text(), .object = "uid", .roster = roster});
    } else if (const auto* put = std::get_if<fleet::LeasePut>(&action)) {
      write(put->version, put->roster, asking);
    } else {
      write(std::get<fleet::LeaseStamp>(action).version, std::nullopt, asking);
    }
  }

 private:
  std::string text() const { return roster ? std::to_string(version) : std::string(); }
  void write(const std::string& based_on, std::optional<std::string> next, FleetThread& asking) {
    if (based_on != text()) {
      asking.post(fleet::LeaseAnswered{.outcome = fleet::LeaseOutcome::kConflict, .version = {}});
      return;
    }
    ++version;
    ++writes;
    if (next) roster = *std::move(next);
    asking.post(fleet::LeaseAnswered{.outcome = fleet::LeaseOutcome::kWritten, .version = text()});
  }
};

/// One router: its fleet's thread, and what its control knows. Its data path holds nothing and obeys at once.
class Member {
 public:
  Member(runtime::Shard& control, runtime::ListeningSocket listening, fleet::Options options, MemoryLease* lease)
      : lease_(lease),
        address_("127.0.0.1:" + std::to_string(listening.port())),
        id_("router-" + std::to_string(listening.port())),
        thread({.control = control,
                .coverage = coverage,
                .news = [this](FleetNews told) { take(std::move(told)); },
                .lease = [this](fleet::Action action) { lease_->perform(std::move(action), thread); },
                .requests = [this](runtime::Descriptor socket, const Address&) { pass_on(std::move(socket)); }},
               {.identity = {.id = id_, .pod_uid = address_, .address = address_, .started = 1},
                .machine = std::move(options),
                .links = quick_links(),
                .listening = std::move(listening)}),
        control_(control) {}

  const std::string& id() const { return id_; }
  const std::string& address() const { return address_; }
  bool covered() const { return coverage.covers_now(); }
  /// Where this router sees the home of the namespace: `here`, a member's id, or nothing.
  std::string home(const std::string& name) const {
    if (!newest) return {};
    for (const fleet::NamespaceAssignment& each : newest->assignment->namespaces) {
      if (each.name == name) return each.here ? "here" : each.home;
    }
    return {};
  }
  std::uint32_t usable(const std::string& pod) const {
    if (!newest) return 0;
    for (const fleet::PodAssignment& each : newest->assignment->pods) {
      if (each.pod == pod) return each.slots;
    }
    return 0;
  }
  /// Serves namespaces a, b, ...: each has a pod of its name and of two slots.
  void serve(const std::string& names) {
    fleet::Served served;
    for (const char name : names) served.namespaces.push_back({std::string(1, name), {{std::string(1, name), 2}}});
    thread.post(std::move(served));
  }

 private:
  void take(FleetNews told) {
    ++news;
    EXPECT_TRUE(control_.on_this_thread());
    if (fails > 0) {
      --fails;
      throw std::bad_alloc();
    }
    const bool is_new = !newest || newest->assignment->version != told.assignment->version;
    EXPECT_GE(told.assignment->version, newest ? newest->assignment->version : 0);
    newest = std::move(told);
    if (on_news) on_news(*newest);
    if (is_new) thread.post(fleet::Applied{.version = newest->assignment->version, .holdings = holdings});
  }
  void pass_on(runtime::Descriptor socket) {
    EXPECT_FALSE(control_.on_this_thread());
    auto shared = std::make_shared<Descriptor>(socket.release());
    control_.post([this, shared] { requests.push_back(std::move(*shared)); });
  }

  MemoryLease* const lease_;
  const std::string address_;
  const std::string id_;

 public:
  dispatch::Coverage coverage;
  std::optional<FleetNews> newest;
  std::size_t news = 0;
  std::size_t fails = 0;  // of the next news
  std::function<void(const FleetNews&)> on_news;
  std::vector<fleet::PodHolding> holdings;
  std::deque<Descriptor> requests;
  FleetThread thread;

 private:
  runtime::Shard& control_;
};

class FleetThreads : public testing::Test {
 protected:
  ~FleetThreads() override { members.clear(); }

  /// `count` members that know each other by their addresses, or by the Lease. Not started.
  void make(std::size_t count, bool with_lease = false) {
    std::vector<runtime::ListeningSocket> sockets;
    fleet::Options options;
    options.timing = quick_timing();
    for (std::size_t i = 0; i < count; ++i) {
      sockets.push_back(std::move(runtime::listen_on("127.0.0.1", 0, 1).value().front()));
      if (!with_lease) options.fixed_peers.push_back("127.0.0.1:" + std::to_string(sockets.back().port()));
    }
    for (runtime::ListeningSocket& socket : sockets) {
      options.protocols = members.size() < protocols.size() ? protocols[members.size()] : fleet::Protocols{};
      members.push_back(std::make_unique<Member>(control, std::move(socket), options, &lease));
    }
  }
  void start(const std::string& names) {
    for (const auto& member : members) {
      member->thread.replace_keys(keys());
      member->serve(names);
      member->thread.start();
    }
  }
  Member& operator[](std::size_t index) { return *members[index]; }

  /// Runs control until the condition holds.
  bool until(const std::function<bool()>& condition, milliseconds most = seconds(4)) {
    Look look(control, condition, control.read_clock() + most);
    control.io().restart();
    control.run();
    return look.held();
  }
  void run_for(milliseconds time) {
    until([] { return false; }, time);
  }

  /// Whether all living members name the same home for each namespace, whose pods it may use, and all are covered.
  bool agree(const std::string& names) {
    for (const auto& member : members) {
      if (!member->covered()) return false;
    }
    for (const char each : names) {
      if (!agree_on(std::string(1, each))) return false;
    }
    return true;
  }
  bool agree_on(const std::string& name) {
    const Member* home = nullptr;
    for (const auto& member : members) {
      if (member->home(name) != "here") continue;
      if (home != nullptr || member->usable(name) != 2) return false;
      home = member.get();
    }
    if (home == nullptr) return false;
    for (const auto& member : members) {
      if (member.get() != home && member->home(name) != home->id()) return false;
    }
    return true;
  }
  std::size_t homes_of(std::size_t index, const std::string& names) {
    std::size_t count = 0;
    for (const char each : names) count += members[index]->home(std::string(1, each)) == "here";
    return count;
  }

  SteadyClock clock;
  runtime::Shard control{0, clock};
  MemoryLease lease;
  std::vector<fleet::Protocols> protocols;  // of the members that `make` makes; those of this version, if there are fewer
  std::vector<std::unique_ptr<Member>> members;

 private:
  class Look final : private runtime::Timer {
   public:
    Look(runtime::Shard& control, const std::function<bool()>& condition, TimePoint end)
        : control_(control), condition_(condition), end_(end) {
      expired();
    }
    bool held() const { return held_; }

   private:
    void expired() override {
      const TimePoint now = control_.read_clock();
      held_ = condition_();
      if (held_ || now >= end_) return control_.stop();
      control_.schedule(*this, now + milliseconds(2));
    }
    runtime::Shard& control_;
    const std::function<bool()>& condition_;
    const TimePoint end_;
    bool held_ = false;
  };
};

}  // namespace router::serving::test
