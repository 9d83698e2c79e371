#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/unit/exchange/exchange_world.h"

namespace router::test {

/// Requests that another router of the fleet serves, from the side of the router that has the client
/// (docs/decisions/0072-requests-sent-on.md). The scripted connections are to that router, `b` at first, or `c`.
class SendingOnTest : public ExchangeTest {
 protected:
  SendingOnTest() {
    world.blue.home = home_;
    home_->set(0);
    meet({"b", "c"});
  }
  /// The members of the fleet, by index. An empty id: it is gone.
  void meet(const std::vector<std::string>& ids, std::size_t waiting_max = 1024) {
    auto peers = std::make_shared<upstream::Peers>();
    peers->epoch = 7;
    peers->self = "a";
    for (const std::string& id : ids) {
      peers->members.push_back(id.empty() ? nullptr
                                          : std::make_shared<upstream::Peer>(
                                                upstream::PeerOptions{.member = id,
                                                                      .address = *runtime::Address::parse("127.0.0.1", 1),
                                                                      .host = {},
                                                                      .transport = nullptr,
                                                                      .waiting_max = waiting_max},
                                                world.shard.clock()));
    }
    world.peers = peers;
    world.publish(++generation_);
  }
  static void begin_at_pod(PodConnection& at, const char* queued = "0") {
    at.begin_answer(199, {{"x-ir", std::string(queued) + " 10.0.0.5:8080"}});
  }
  static void refuse(PodConnection& at, int status, const char* reason, PodConnection::FieldList more = {}) {
    more.emplace_back("x-ir-reason", reason);
    at.answer(status, "", std::move(more));
  }
  /// What the home is told: for how long the request has waited, in microseconds.
  std::string age() {
    const std::string facts = pod().field("x-ir");
    const std::size_t from = facts.find(' ') + 1;
    return facts.substr(from, facts.find(' ', from) - from);
  }
  /// The values of fields that the home is to write.
  std::vector<std::string> parts() {
    std::vector<std::string> found;
    std::string facts = pod().field("x-ir");
    for (std::size_t tab; (tab = facts.rfind('\t')) != std::string::npos; facts.resize(tab)) {
      found.insert(found.begin(), facts.substr(tab + 1));
    }
    return found;
  }
  std::size_t tries() const { return world.pods.tried.size(); }
  const std::string& tried() const { return world.pods.tried.back().replica; }

  std::shared_ptr<dispatch::NamespaceHome> home_ = std::make_shared<dispatch::NamespaceHome>();
  std::uint64_t generation_ = 1;
};

inline constexpr const char* kSmall = "Content-Length: 3\r\n";
inline constexpr const char* kLarge = "Content-Length: 200000\r\n";

}  // namespace router::test
