#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "router/fleet_link/links.h"
#include "tests/support/failing_memory.h"
#include "tests/support/loopback.h"
#include "tests/support/test_shard.h"
#include "tls/psk.h"

/// Members of a fleet in one thread: each has links and a port on the loopback; the clock is virtual.
namespace router::fleet_link::test {

using router::test::connect_to;
using router::test::Descriptor;
using router::test::LoopbackListener;
using router::test::SilentListener;
using router::test::TestShard;
using router::test::turn_until;
using runtime::Address;
using std::chrono::milliseconds;
using std::chrono::seconds;

inline const std::string kKey(64, 'a');
inline const std::string kOtherKey(64, 'b');

inline tls::PskKeys keys(const std::string& text = kKey) { return tls::PskKeys::parse(text, "keys").value(); }

inline Address loopback(std::uint16_t port) { return *Address::parse("127.0.0.1", port); }

/// Records what Links tells. Its hello is its name.
struct Recorder final : LinkEvents {
  struct Opened {
    std::string member;
    LinkNumber link = 0;
  };
  std::string hello() override { return name; }
  std::optional<std::string> member_of(std::string_view hello) override {
    if (hello == "stranger") return std::nullopt;
    return std::string(hello);
  }
  void opened(LinkNumber link, const std::string& member, std::string_view) override {
    opens.push_back({member, link});
    members[link] = member;
    if (forgets_opened) throw std::bad_alloc();
  }
  void frame(LinkNumber link, std::string_view bytes) override {
    frames.emplace_back(link, bytes);
    if (bytes == "bye") links->note_bye(link);
    if (bytes == "throw") throw std::bad_alloc();
    if (bytes == "echo") links->send(link, "echoed");
  }
  void ended(LinkNumber link, Ended how) noexcept override {
    const router::test::FailingMemory::Pause pause;
    ends.emplace_back(members[link], how);
    gone.insert(link);
  }
  void proven_dead(const std::string& member) override { dead.push_back(member); }
  void refused(const std::string& member) override { turned_away.push_back(member); }
  void unreachable(const Address&, const char* cause, int error) override { failures.emplace_back(cause, error); }

  std::string name;
  Links* links = nullptr;
  bool forgets_opened = false;
  std::vector<Opened> opens;
  std::map<LinkNumber, std::string> members;
  std::vector<std::pair<LinkNumber, std::string>> frames;
  std::vector<std::pair<std::string, Ended>> ends;
  std::set<LinkNumber> gone;
  std::vector<std::string> dead;
  std::vector<std::string> turned_away;
  std::vector<std::pair<std::string, int>> failures;
};

/// One member: dies when it is destroyed, as a killed process does.
class Node {
 public:
  Node(TestShard& shard, const std::string& name, const LinkOptions& options = {}, std::uint16_t port = 0)
      : links_(shard, recorder_, name, options),
        port_(
            shard, std::move(runtime::listen_on("127.0.0.1", port, 1).value().front()),
            [this](Newcomer newcomer) { links_.accept(std::move(newcomer)); },
            [this](runtime::Descriptor socket, const Address&) { requests.push_back(Descriptor(socket.release())); }) {
    recorder_.name = name;
    recorder_.links = &links_;
    EXPECT_TRUE(links_.replace_keys(keys()).ok());
  }
  Address address() const { return loopback(port_.port()); }
  Recorder& seen() { return recorder_; }
  Links& links() { return links_; }
  FleetPort& port() { return port_; }
  bool has_link_to(const std::string& member) const { return links_.best(member) != 0; }
  /// Open links to `member`, as `opened` and `ended` told.
  std::size_t links_to(const std::string& member) const {
    std::size_t count = 0;
    for (const auto& each : recorder_.opens) count += each.member == member && !recorder_.gone.contains(each.link);
    return count;
  }
  bool got(const std::string& frame) const {
    for (const auto& each : recorder_.frames) {
      if (each.second == frame) return true;
    }
    return false;
  }
  bool send(const std::string& member, std::string_view frame) { return links_.send(links_.best(member), frame); }

  std::vector<Descriptor> requests;

 private:
  Recorder recorder_;
  Links links_;
  FleetPort port_;
};

class FleetTest : public testing::Test {
 protected:
  ~FleetTest() override { shard.poll(); }
  std::unique_ptr<Node> node(const std::string& name, const LinkOptions& options = {}, std::uint16_t port = 0) {
    return std::make_unique<Node>(shard, name, options, port);
  }
  bool until(const std::function<bool()>& condition) { return turn_until(shard, condition); }
  /// Turns the loop, and lets virtual time pass, until the condition holds. When `most` is over, it waits for the kernel only.
  bool in_time(const std::function<bool()>& condition, milliseconds most = seconds(10)) {
    for (milliseconds passed{0}; passed < most; passed += kStep) {
      if (turn(condition)) return true;
      shard.advance(kStep);
    }
    return until(condition);
  }
  /// Lets virtual time pass.
  void pass(milliseconds time) {
    for (milliseconds passed{0}; passed < time; passed += kStep) {
      for (int turns = 0; turns < 3; ++turns) shard.poll();
      shard.advance(kStep);
    }
  }
  /// Turns the loop for a moment: the kernel may deliver bytes on the loopback a little later.
  bool turn(const std::function<bool()>& condition) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::microseconds(200);
    do {
      shard.poll();
      if (condition()) return true;
    } while (std::chrono::steady_clock::now() < end);
    return false;
  }
  void join(Node& one, Node& another) {
    one.links().set_peers({one.address(), another.address()});
    another.links().set_peers({one.address(), another.address()});
    const std::string first = one.seen().name;
    const std::string second = another.seen().name;
    ASSERT_TRUE(in_time([&] { return one.has_link_to(second) && another.has_link_to(first); }));
  }

  TestShard shard;

 private:
  static constexpr milliseconds kStep{10};
};

/// A client of the fleet port that is not ours: bytes as the test sends them.
inline Descriptor stranger(const Node& node, std::string_view bytes = {}) {
  Descriptor made = connect_to(node.address());
  if (!bytes.empty()) made.send(bytes);
  return made;
}

}  // namespace router::fleet_link::test
