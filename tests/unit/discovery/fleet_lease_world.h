#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "router/discovery/fleet_lease.h"
#include "tests/unit/kubernetes/object_server.h"

namespace router::discovery {

using kubernetes::metadata_text;
using kubernetes::test::Asked;
using kubernetes::test::ObjectServer;
using router::test::TestShard;
using std::chrono::milliseconds;
using std::chrono::seconds;
namespace json = boost::json;
using Lines = std::vector<std::string>;

/// Records what it is told: `found ROSTER 101`, `absent`, `written 102`, `changed ROSTER 103`, `deleted`.
class Owner final : public FleetLeaseOwner {
 public:
  void lease_read(LeaseRead read) override {
    ++results;
    last_read = read;
    switch (read.state) {
      case LeaseRead::State::kFound: return add("found " + read.roster + " " + read.version);
      case LeaseRead::State::kAbsent: return add("absent");
      case LeaseRead::State::kFailed: return add("failed");
    }
  }
  void lease_written(LeaseWritten written) override {
    ++results;
    last_written = written;
    const std::string verb = written.operation == LeaseWritten::Operation::kPut ? "put: " : "stamp: ";
    switch (written.state) {
      case LeaseWritten::State::kWritten: return add(verb + written.version);
      case LeaseWritten::State::kConflict: return add(verb + "conflict");
      case LeaseWritten::State::kAbsent: return add(verb + "absent");
      case LeaseWritten::State::kFailed: return add(verb + "failed");
      case LeaseWritten::State::kUnknown: return add(verb + "unknown");
    }
  }
  void lease_changed(const std::string& roster, const std::string& version) override {
    if (short_of_memory-- > 0) throw std::bad_alloc();
    add("changed " + roster + " " + version);
  }
  void lease_deleted() override { add("deleted"); }

  Lines take() { return std::exchange(lines_, {}); }
  LeaseRead last_read;
  LeaseWritten last_written;
  int short_of_memory = 0;
  std::size_t results = 0;  // of operations

 private:
  void add(std::string line) { lines_.push_back(std::move(line)); }
  Lines lines_;
};

/// A FleetLease, and the API server that it asks.
class FleetLeaseTest : public ::testing::Test {
 protected:
  ~FleetLeaseTest() override {
    lease.reset();
    server.serve();
    EXPECT_EQ(group.running(), 0u);
  }
  void start() {
    if (client == nullptr) client = kubernetes::test::make_client(shard, resolver, server.cluster());
    FleetLeaseOptions options;
    options.namespace_name = "system";
    options.identity = "router-1";
    options.boot_time = [this] { return boot(); };
    options.wall_clock = [this] { return kubernetes::WallTime() + std::chrono::duration_cast<seconds>(boot()); };
    lease = std::make_unique<FleetLease>(*client, group, options, owner);
    server.serve();
  }
  BootTime boot() const { return std::chrono::duration_cast<BootTime>(shard.now().time_since_epoch()); }
  static json::object with_roster(const std::string& roster) {
    json::object object{{"metadata", {{"annotations", {{FleetLease::kRosterKey, roster}, {"other", "kept"}}}}},
                        {"spec", {{"renewTime", "old"}}}};
    return object;
  }
  /// A Lease with the roster `one` at version 101, which the owner knows.
  void start_with_one() {
    server.write(with_roster("one"));
    start();
    EXPECT_EQ(owner.take(), Lines{"changed one 101"});
  }
  Lines done(bool began) {
    EXPECT_TRUE(began);
    server.serve();
    EXPECT_FALSE(lease->busy());
    return owner.take();
  }
  /// Lets time pass while the server answers.
  void pass(Duration time) {
    for (; time > Duration{}; time -= milliseconds(250)) {
      shard.advance(milliseconds(250));
      server.serve();
    }
  }
  std::string annotation(const char* key) const {
    return kubernetes::text_in(server.object->at("metadata").at("annotations").as_object(), key);
  }
  std::string renewed() const { return kubernetes::text_in(server.object->at("spec").as_object(), "renewTime"); }

  TestShard shard;
  runtime::Resolver resolver{shard};
  ObjectServer server{shard, "inference-router-fleet"};
  runtime::TaskGroup group{shard, 10};
  Owner owner;
  std::unique_ptr<kubernetes::ApiClient> client;
  std::unique_ptr<FleetLease> lease;
};

}  // namespace router::discovery
