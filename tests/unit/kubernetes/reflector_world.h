#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "router/kubernetes/back_off.h"
#include "router/kubernetes/json.h"
#include "router/kubernetes/reflector.h"
#include "tests/unit/kubernetes/api_server.h"

namespace router::kubernetes::test {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// Records its notifications: `listed a b`, `changed a`, `removed a`.
class Diary final : public Watcher {
 public:
  void listed(std::vector<boost::json::object> objects) override {
    std::string line = "listed";
    for (const auto& each : objects) line += " " + metadata_text(each, "name");
    add(line);
  }
  void changed(boost::json::object object) override { add("changed " + metadata_text(object, "name")); }
  void removed(boost::json::object object) override { add("removed " + metadata_text(object, "name")); }
  std::vector<std::string> take() { return std::exchange(lines_, {}); }
  const std::vector<std::string>& lines() const { return lines_; }
  std::function<void()> on_word = [] {};

 private:
  void add(std::string line) {
    lines_.push_back(std::move(line));
    on_word();
  }
  std::vector<std::string> lines_;
};

using Lines = std::vector<std::string>;

/// A reflector of the EndpointSlices of a namespace, and the API server that it asks.
class ReflectorTest : public ::testing::Test {
 protected:
  ReflectorTest() {
    selection.resource = {"discovery.k8s.io", "v1", "endpointslices"};
    selection.namespace_name = "a";
  }
  ~ReflectorTest() override {
    reflector.reset();
    shard.poll();
    EXPECT_EQ(group.running(), 0u) << "a reflector's task outlives it";
  }
  void start() {
    if (client == nullptr) client = make_client(shard, resolver, server.cluster());
    reflector = std::make_unique<Reflector>(*client, group, selection, diary);
    shard.poll();
  }
  /// Answers the list, and returns the request of the watch that follows.
  Asked start_and_watch(const std::string& version = "10") {
    start();
    server.next().answer(200, page(version, object("x", "5")));
    Asked watch = server.next();
    EXPECT_EQ(diary.take(), Lines{"listed x"});
    watch.begin_watch();
    return watch;
  }
  bool told(std::size_t lines) {
    return turn_until(shard, [&] { return diary.lines().size() >= lines; });
  }
  /// The request that comes within the longest pause.
  Asked next_after_a_pause() {
    EXPECT_TRUE(turn_until(shard, [&] {
      return reflector->counts().errors + reflector->counts().unauthorized + reflector->counts().gone > failures;
    }));
    shard.advance(BackOff::kMost);
    failures = reflector->counts().errors + reflector->counts().unauthorized + reflector->counts().gone;
    return server.next();
  }

  TestShard shard;
  runtime::Resolver resolver{shard};
  ApiServer server{shard};
  runtime::TaskGroup group{shard, 10};
  Selection selection;
  Diary diary;
  std::uint64_t failures = 0;
  std::unique_ptr<ApiClient> client;
  std::unique_ptr<Reflector> reflector;
};

}  // namespace router::kubernetes::test
