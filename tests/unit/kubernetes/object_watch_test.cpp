#include "router/kubernetes/object_watch.h"

#include <gtest/gtest.h>

#include <memory>
#include <new>
#include <string>
#include <vector>

#include "router/kubernetes/back_off.h"
#include "tests/unit/kubernetes/api_server.h"

namespace router::kubernetes::test {
namespace {

using std::chrono::seconds;
using Lines = std::vector<std::string>;

class ObjectWatchTest : public ::testing::Test {
 protected:
  ~ObjectWatchTest() override {
    watch.reset();
    shard.poll();
    EXPECT_EQ(group.running(), 0u);
  }
  void start() {
    client = make_client(shard, resolver, server.cluster());
    const ObjectName name{{"coordination.k8s.io", "v1", "leases"}, "system", "fleet"};
    watch = std::make_unique<ObjectWatch>(*client, group, name, [this](const ObjectState& state) {
      if (short_of_memory-- > 0) throw std::bad_alloc();
      told.push_back((state.object ? "is " : "is not ") + state.version);
    });
    shard.poll();
  }
  /// Answers the list, and returns the watch that follows.
  Asked start_and_watch(const std::string& items) {
    start();
    server.next().answer(200, page("10", items));
    Asked asked = server.next();
    asked.begin_watch();
    return asked;
  }
  /// Waits until the server's 410 of that number has arrived, answers the list that follows, and returns the next watch.
  Asked list_again_after(std::uint64_t gone, const std::string& items) {
    EXPECT_TRUE(turn_until(shard, [&] { return watch->counts().gone == gone; }));
    shard.advance(BackOff::kMost);
    server.next().answer(200, page("20", items));
    return server.next();
  }
  Lines take(std::size_t lines) {
    EXPECT_TRUE(turn_until(shard, [&] { return told.size() >= lines; }));
    for (int i = 0; i < 20; ++i) shard.poll();
    return std::exchange(told, {});
  }

  TestShard shard;
  runtime::Resolver resolver{shard};
  ApiServer server{shard};
  runtime::TaskGroup group{shard, 10};
  int short_of_memory = 0;
  Lines told;
  std::unique_ptr<ApiClient> client;
  std::unique_ptr<ObjectWatch> watch;
};

TEST_F(ObjectWatchTest, AsksForThatObjectAlone) {
  start();
  const Asked list = server.next();
  EXPECT_TRUE(list.target.starts_with("/apis/coordination.k8s.io/v1/namespaces/system/leases?limit=")) << list.target;
  EXPECT_NE(list.target.find("&fieldSelector=metadata.name%3Dfleet"), std::string::npos) << list.target;
  EXPECT_FALSE(watch->known());
  list.answer(200, page("10", object("fleet", "7")));
  const Asked asked = server.next();
  EXPECT_NE(asked.target.find("watch=1&resourceVersion=10"), std::string::npos) << asked.target;
  EXPECT_NE(asked.target.find("&fieldSelector=metadata.name%3Dfleet"), std::string::npos) << asked.target;
  EXPECT_TRUE(watch->known());
  EXPECT_EQ(take(1), Lines{"is 7"});
}

TEST_F(ObjectWatchTest, TellsThatTheObjectIsMissingMadeChangedDeletedAndMadeAgain) {
  const Asked asked = start_and_watch("");
  EXPECT_EQ(take(1), Lines{"is not "});
  asked.chunk(event("ADDED", object("fleet", "11")) + event("MODIFIED", object("fleet", "12")));
  EXPECT_EQ(take(2), (Lines{"is 11", "is 12"}));
  asked.chunk(event("DELETED", object("fleet", "13")) + event("ADDED", object("fleet", "14")));
  EXPECT_EQ(take(2), (Lines{"is not 13", "is 14"}));
}

TEST_F(ObjectWatchTest, TellsNothingTwiceWhenItListsAgain) {
  start_and_watch(object("fleet", "7")).chunk(event("ERROR", status(410, "too old", "Expired")));
  list_again_after(1, object("fleet", "7")).answer(410, "");
  EXPECT_EQ(take(1), Lines{"is 7"});
  list_again_after(2, object("fleet", "25")).answer(410, "");
  EXPECT_EQ(take(1), Lines{"is 25"});
  list_again_after(3, "").answer(410, "");
  EXPECT_EQ(take(1), Lines{"is not "});
  list_again_after(4, "");
  EXPECT_EQ(take(0), Lines{});
}

TEST_F(ObjectWatchTest, TellsNothingOfOtherObjects) {
  const Asked asked = start_and_watch(object("another", "6") + "," + object("fleet", "7"));
  EXPECT_EQ(take(1), Lines{"is 7"});
  asked.chunk(event("ADDED", object("another", "11")) + event("DELETED", object("another", "12")) +
              event("MODIFIED", object("fleet", "13")));
  EXPECT_EQ(take(1), Lines{"is 13"});
}

TEST_F(ObjectWatchTest, TellsAStateAgainThatItsReaderHadNoMemoryFor) {
  const Asked asked = start_and_watch(object("fleet", "7"));
  EXPECT_EQ(take(1), Lines{"is 7"});
  short_of_memory = 1;
  asked.chunk(event("DELETED", object("fleet", "11")));
  ASSERT_TRUE(turn_until(shard, [&] { return short_of_memory == 0; }));
  shard.poll();
  shard.advance(Reflector::kInterruptedPause);
  server.next().answer(200, page("12", ""));
  EXPECT_EQ(take(1), Lines{"is not "});
  EXPECT_EQ(group.failed(), 0u);
}

TEST_F(ObjectWatchTest, SaysThatItHasNoRights) {
  start();
  server.next().answer(403, status(403, "forbidden"));
  ASSERT_TRUE(turn_until(shard, [&] { return watch->counts().errors == 1; }));
  EXPECT_TRUE(watch->forbidden());
  EXPECT_FALSE(watch->known());
  shard.advance(BackOff::kMost);
  server.next().answer(200, page("10", object("fleet", "7")));
  EXPECT_EQ(take(1), Lines{"is 7"});
  EXPECT_FALSE(watch->forbidden());
}

}  // namespace
}  // namespace router::kubernetes::test
