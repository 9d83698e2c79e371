#include "router/kubernetes/reflector.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>

#include "tests/unit/kubernetes/reflector_world.h"

/// What a reflector asks for and notifies, from where it continues, and how it ends.
namespace router::kubernetes::test {
namespace {

TEST_F(ReflectorTest, ListsThenWatchesFromTheVersionOfTheList) {
  selection.label_selector = "app=router,tier in (a,b)";
  selection.field_selector = "metadata.name=x";
  start();
  EXPECT_FALSE(reflector->listed());
  EXPECT_FALSE(reflector->last_word().has_value());
  const std::string selectors = "&fieldSelector=metadata.name%3Dx&labelSelector=app%3Drouter%2Ctier%20in%20%28a%2Cb%29";
  const Asked list = server.next();
  EXPECT_EQ(list.target, "/apis/discovery.k8s.io/v1/namespaces/a/endpointslices?limit=500" + selectors);
  list.answer(200, page("17", object("x", "5") + "," + object("y", "6")));
  const Asked watch = server.next();
  EXPECT_EQ(diary.take(), Lines{"listed x y"});
  EXPECT_TRUE(reflector->listed());
  EXPECT_TRUE(
      watch.target.starts_with("/apis/discovery.k8s.io/v1/namespaces/a/endpointslices?watch=1&resourceVersion=17"
                               "&allowWatchBookmarks=true&timeoutSeconds="))
      << watch.target;
  EXPECT_TRUE(watch.target.ends_with(selectors)) << watch.target;
  const int timeout = std::stoi(watch.target.substr(watch.target.find("timeoutSeconds=") + 15));
  EXPECT_GE(timeout, 240);
  EXPECT_LE(timeout, 480);
  EXPECT_EQ(watch.connection, list.connection) << "the connection is used again";
  watch.begin_watch();
  watch.chunk(event("ADDED", object("z", "18")) + event("MODIFIED", object("x", "19")) + event("DELETED", object("y", "20")));
  ASSERT_TRUE(told(3));
  EXPECT_EQ(diary.take(), (Lines{"changed z", "changed x", "removed y"}));
}

TEST_F(ReflectorTest, FollowsAKindOfTheCoreGroupInAllNamespaces) {
  selection = {};
  selection.resource = {"", "v1", "secrets"};
  start();
  EXPECT_EQ(server.next().target, "/api/v1/secrets?limit=500");
}

TEST_F(ReflectorTest, ReadsPageByPageAndTellsAllAtOnce) {
  start();
  server.next().answer(200, page("17", object("a", "1"), "to/ken="));
  const Asked second = server.next();
  EXPECT_EQ(second.target, "/apis/discovery.k8s.io/v1/namespaces/a/endpointslices?limit=500&continue=to%2Fken%3D");
  EXPECT_TRUE(diary.take().empty());
  second.answer(200, page("17", object("b", "2"), "more"));
  server.next().answer(200, R"({"metadata":{"resourceVersion":"17"},"items":null})");
  ASSERT_TRUE(told(1));
  EXPECT_EQ(diary.take(), Lines{"listed a b"});
  EXPECT_EQ(reflector->counts().lists, 1u);
}

TEST_F(ReflectorTest, BeginsAnewWhenThePagesHaveExpired) {
  start();
  server.next().answer(200, page("17", object("old", "1"), "token"));
  server.next().answer(410, status(410, "the provided continue parameter is too old", "Expired"));
  const Asked again = server.next();  // without a pause
  EXPECT_EQ(again.target, "/apis/discovery.k8s.io/v1/namespaces/a/endpointslices?limit=500");
  again.answer(200, page("18", object("new", "2")));
  ASSERT_TRUE(told(1));
  EXPECT_EQ(diary.take(), Lines{"listed new"});
  EXPECT_EQ(reflector->counts().gone, 1u);
}

TEST_F(ReflectorTest, ListsAnewWhenItsPlaceIsForgotten) {
  for (const bool as_event : {true, false}) {
    Asked watch = start_and_watch();
    if (as_event) {
      watch.chunk(event("ERROR", status(410, "too old resource version", "Expired")));
    } else {
      watch.chunk(event("BOOKMARK", object("", "11")));
      watch.end_watch();
      server.next().answer(410, status(410, "too old resource version"));
    }
    const Asked list = server.next();  // without a pause
    EXPECT_NE(list.target.find("?limit=500"), std::string::npos) << list.target;
    list.answer(200, page("30", object("n", "29")));
    ASSERT_TRUE(told(1));
    EXPECT_EQ(diary.take(), Lines{"listed n"});
    EXPECT_NE(server.next().target.find("resourceVersion=30&"), std::string::npos);
    EXPECT_EQ(reflector->counts().gone, 1u);
    EXPECT_EQ(reflector->counts().lists, 2u);
    reflector.reset();
    shard.poll();
  }
}

TEST_F(ReflectorTest, DoesNotListAtOnceWhenItsPlaceIsForgottenASecondTime) {
  start();
  int lists = 0;
  bool paused = false;
  // The pause is random and may be 0. In many rounds at least one pause is longer.
  for (int round = 0; round < 30 && !paused; ++round) {
    server.next().answer(200, page("10", ""));
    ++lists;
    server.next().answer(410, status(410, "too old"));
    ASSERT_TRUE(turn_until(shard, [&] { return reflector->counts().gone > static_cast<std::uint64_t>(round); }));
    const bool asked = server.is_asked_now();
    EXPECT_TRUE(asked || round > 0);
    paused = !asked;
    shard.advance(BackOff::kMost);
  }
  EXPECT_TRUE(paused);
  EXPECT_GE(lists, 2);
}

TEST_F(ReflectorTest, GoesOnWhereItWasWhenAWatchIsCut) {
  Asked watch = start_and_watch();
  watch.chunk(event("ADDED", object("y", "12")));
  ASSERT_TRUE(told(1));
  watch.cut();
  watch = next_after_a_pause();
  EXPECT_NE(watch.target.find("resourceVersion=12&"), std::string::npos) << watch.target;
  watch.begin_watch();
  watch.chunk(event("BOOKMARK", object("", "40")));
  ASSERT_TRUE(turn_until(shard, [&] { return reflector->counts().watches == 2; }));
  watch.cut();
  EXPECT_NE(next_after_a_pause().target.find("resourceVersion=40&"), std::string::npos);
  EXPECT_EQ(reflector->counts().lists, 1u);
  EXPECT_EQ(diary.take(), Lines{"changed y"});
}

TEST_F(ReflectorTest, GoesOnAtOnceWhenAWatchHasEndedInItsTime) {
  const Asked watch = start_and_watch();
  watch.chunk(event("BOOKMARK", object("", "11")));
  watch.end_watch();
  EXPECT_NE(server.next().target.find("resourceVersion=11&"), std::string::npos);
  EXPECT_EQ(reflector->counts().errors, 0u);
}

TEST_F(ReflectorTest, DoesNotStepBackToABookmarkOfASlowServer) {
  const Asked watch = start_and_watch("1000");
  watch.chunk(event("BOOKMARK", object("", "999")));
  watch.end_watch();
  EXPECT_NE(server.next().target.find("resourceVersion=1000&"), std::string::npos);
}

TEST_F(ReflectorTest, PutsEventsTogetherThatArriveInPieces) {
  const Asked watch = start_and_watch();
  const std::string events = event("ADDED", object("y", "12")) + event("DELETED", object("y", "13"));
  for (std::size_t i = 0; i < events.size(); i += 7) {
    watch.chunk(events.substr(i, 7));
    shard.poll();
  }
  ASSERT_TRUE(told(2));
  EXPECT_EQ(diary.take(), (Lines{"changed y", "removed y"}));
}

TEST_F(ReflectorTest, BeginsOnceItsGroupHasRoom) {
  client = make_client(shard, resolver, server.cluster());
  runtime::TaskGroup small{shard, 1};
  Diary other_diary;
  auto other = std::make_unique<Reflector>(*client, small, selection, other_diary);
  reflector = std::make_unique<Reflector>(*client, small, selection, diary);
  server.next().answer(200, page("10", ""));
  server.next().begin_watch();
  EXPECT_FALSE(server.is_asked_now());
  other.reset();
  shard.poll();
  shard.advance(Reflector::kInterruptedPause);
  ASSERT_TRUE(server.is_asked_now());
  server.next().answer(200, page("10", object("a", "1")));
  EXPECT_TRUE(told(1));
  reflector.reset();
  shard.poll();
  EXPECT_EQ(small.running(), 0u);
}

TEST_F(ReflectorTest, IsFreshWhileAWatchIsOpenAndOlderAfterwards) {
  for (const bool in_order : {true, false}) {
    const Asked watch = start_and_watch();
    // The watch is open when `last_word` follows the clock.
    ASSERT_TRUE(turn_until(shard, [&] {
      shard.advance(milliseconds(1));
      return reflector->last_word() == shard.now();
    }));
    shard.advance(seconds(100));
    EXPECT_EQ(reflector->last_word(), shard.now());
    const TimePoint ended = shard.now();
    if (in_order) watch.end_watch();
    watch.cut();
    ASSERT_TRUE(turn_until(shard, [&] { return reflector->counts().watches == 2 || reflector->counts().errors == 1; }));
    shard.advance(seconds(5));
    EXPECT_EQ(reflector->last_word(), in_order ? ended : ended - ApiClient::kVanishedAfter);
    reflector.reset();
    shard.poll();
    server.forget();
  }
}

TEST_F(ReflectorTest, GivesUpAWatchThatOutlastsItsTime) {
  const Asked watch = start_and_watch();
  const int timeout = std::stoi(watch.target.substr(watch.target.find("timeoutSeconds=") + 15));
  ASSERT_TRUE(turn_until(shard, [&] {
    shard.advance(milliseconds(0));
    return reflector->last_word() == shard.now();
  }));
  shard.advance(seconds(timeout + 9));
  EXPECT_EQ(reflector->counts().errors, 0u);
  EXPECT_FALSE(watch.connection->at_end());
  shard.advance(seconds(1));
  EXPECT_EQ(reflector->counts().errors, 1u);
  EXPECT_TRUE(watch.connection->at_end());
}

TEST_F(ReflectorTest, GivesUpAWatchWhoseBookmarksStayAway) {
  const Asked watch = start_and_watch();
  watch.chunk(event("BOOKMARK", object("", "11")) + event("ADDED", object("y", "12")));
  ASSERT_TRUE(told(1));
  shard.advance(Reflector::kSilenceMax - seconds(1));
  EXPECT_FALSE(watch.connection->at_end());
  shard.advance(seconds(1));
  EXPECT_TRUE(watch.connection->at_end());
  EXPECT_NE(next_after_a_pause().target.find("resourceVersion=12&"), std::string::npos);
}

TEST_F(ReflectorTest, EndsWithinACallOfItsWatcher) {
  diary.on_word = [this] { reflector.reset(); };
  start();
  server.next().answer(200, page("10", ""));
  ASSERT_TRUE(told(1));
  EXPECT_FALSE(server.is_asked_now());
  EXPECT_EQ(group.running(), 0u);
}

TEST_F(ReflectorTest, EndsWithinACallForAnEventAndTellsNoFurtherOne) {
  const Asked watch = start_and_watch();
  diary.on_word = [this] { reflector.reset(); };
  watch.chunk(event("ADDED", object("y", "12")) + event("ADDED", object("z", "13")));
  ASSERT_TRUE(turn_until(shard, [&] { return group.running() == 0; }));
  EXPECT_EQ(diary.take(), Lines{"changed y"});
  EXPECT_TRUE(watch.connection->at_end());
}

TEST_F(ReflectorTest, EndsWhileItWaits) {
  const Asked watch = start_and_watch();
  shard.poll();
  reflector.reset();
  shard.poll();
  EXPECT_TRUE(watch.connection->at_end());
  EXPECT_EQ(group.running(), 0u);
}

}  // namespace
}  // namespace router::kubernetes::test
