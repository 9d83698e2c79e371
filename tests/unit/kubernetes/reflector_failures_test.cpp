#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "router/kubernetes/reflector.h"
#include "router/kubernetes/watch_events.h"
#include "tests/unit/kubernetes/reflector_world.h"

/// What a reflector does when the server refuses a request or sends what it cannot read, and when it pauses.
namespace router::kubernetes::test {
namespace {

TEST_F(ReflectorTest, ListsAnewInsteadOfReadingWhatIsNoEvent) {
  for (const std::string& line :
       {std::string("{\"type\":\"ADDED\",\"obj\n"), std::string("[]\n"), event("WHATEVER", object("y", "12")),
        event("ADDED", "3"), event("ADDED", R"({"metadata":{}})"), event("ERROR", status(500, "etcd"))}) {
    const Asked watch = start_and_watch();
    watch.chunk(line);
    failures = 0;
    EXPECT_NE(next_after_a_pause().target.find("?limit=500"), std::string::npos) << line;
    EXPECT_TRUE(diary.take().empty());
    EXPECT_EQ(reflector->counts().errors, 1u);
    reflector.reset();
    shard.poll();
  }
}

TEST_F(ReflectorTest, ListsAnewWhenAnEventIsTooLarge) {
  const Asked watch = start_and_watch();
  const std::string piece(64 * 1024, 'x');
  watch.chunk(R"({"type":"ADDED","object":{"a":")");
  for (std::size_t sent = 0; sent <= EventLines::kEventMax + 1024 * 1024 && reflector->counts().errors == 0;
       sent += piece.size()) {
    watch.chunk(piece);
    shard.poll();
  }
  EXPECT_NE(next_after_a_pause().target.find("?limit=500"), std::string::npos);
  EXPECT_EQ(reflector->counts().errors, 1u);
}

TEST_F(ReflectorTest, ListsAnewWhenAListIsGarbage) {
  start();
  server.next().answer(200, page("10", object("a", "1")));
  ASSERT_TRUE(told(1));
  diary.take();
  server.next().answer(410, "");
  for (const char* garbage : {"", "{", "[]", R"({"items":[]})", R"({"metadata":{"resourceVersion":"1"},"items":[1]})",
                              R"({"metadata":{"resourceVersion":"1"},"items":{}})"}) {
    Asked list = *garbage == 0 ? server.next() : next_after_a_pause();
    failures = reflector->counts().errors + reflector->counts().gone;
    list.answer(200, garbage);
  }
  next_after_a_pause().answer(200, page("12", ""));
  ASSERT_TRUE(told(1));
  EXPECT_EQ(diary.take(), Lines{"listed"}) << "the garbage caused no notification";
}

TEST_F(ReflectorTest, ReadsTheOthersWhenOneObjectIsNestedTooDeep) {
  std::string deep = R"({"metadata":{"name":"deep","resourceVersion":"6"},"spec":{"model":"]}\\","tags":)";
  for (std::size_t i = 0; i < 2 * kJsonDepthMax; ++i) deep += R"({"a\"}":[)";
  for (std::size_t i = 0; i < 2 * kJsonDepthMax; ++i) deep += "]}";
  deep += "}}";
  start();
  server.next().answer(200, page("10", object("x", "5") + "," + deep + "," + object("y", "7")));
  ASSERT_TRUE(told(1));
  EXPECT_EQ(diary.take(), Lines{"listed x deep y"});
  const Asked watch = server.next();
  watch.begin_watch();
  watch.chunk(event("MODIFIED", deep) + event("ADDED", object("z", "12")));
  ASSERT_TRUE(told(2));
  EXPECT_EQ(diary.take(), (Lines{"changed deep", "changed z"}));
  EXPECT_EQ(reflector->counts().errors, 0u);
}

TEST_F(ReflectorTest, AsksForSmallerPagesWhenOneIsTooLarge) {
  start();
  const std::string piece(1024 * 1024, ' ');
  const Asked list = server.next();
  list.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
  for (std::size_t sent = 0; sent <= ApiClient::kBodyMax && reflector->counts().errors == 0; sent += piece.size()) {
    list.chunk(piece);
    shard.poll();
  }
  const Asked again = next_after_a_pause();
  EXPECT_NE(again.target.find("?limit=250"), std::string::npos) << again.target;
  again.answer(200, page("10", object("a", "1")));
  ASSERT_TRUE(told(1));
}

TEST_F(ReflectorTest, ListsAnewWhenItsWatcherHasNoMemory) {
  int short_of_memory = 1;
  diary.on_word = [&] {
    if (short_of_memory-- > 0) throw std::bad_alloc();
  };
  start();
  server.next().answer(200, page("10", object("a", "1")));
  ASSERT_TRUE(turn_until(shard, [&] { return reflector->counts().errors == 1; }));
  EXPECT_FALSE(reflector->listed()) << "the Watcher has not got all objects";
  shard.advance(Reflector::kInterruptedPause);
  server.next().answer(200, page("11", object("a", "1")));
  Asked watch = server.next();
  EXPECT_TRUE(reflector->listed());
  watch.begin_watch();
  short_of_memory = 1;
  watch.chunk(event("ADDED", object("b", "12")));
  ASSERT_TRUE(turn_until(shard, [&] { return reflector->counts().errors == 2; }));
  shard.advance(Reflector::kInterruptedPause);
  EXPECT_LT(reflector->last_word(), shard.now()) << "no watch is open";
  diary.take();
  const Asked list = server.next();
  EXPECT_NE(list.target.find("?limit=500"), std::string::npos) << "the Watcher may have lost the event";
  list.answer(200, page("12", object("a", "1") + "," + object("b", "12")));
  ASSERT_TRUE(told(1));
  EXPECT_EQ(diary.take(), Lines{"listed a b"});
  EXPECT_EQ(group.failed(), 0u);
}

TEST_F(ReflectorTest, WaitsAsLongAsTheServerAsksButNotLonger) {
  for (const auto& [asked, waited] : std::vector<std::pair<int, int>>{{4, 4}, {600, 10}}) {
    start();
    server.next().answer(429, status(429, "busy"), "Retry-After: " + std::to_string(asked) + "\r\n");
    ASSERT_TRUE(turn_until(shard, [&] { return reflector->counts().errors == 1; }));
    shard.advance(seconds(waited) - milliseconds(1));
    EXPECT_FALSE(server.is_asked_now());
    shard.advance(milliseconds(1));
    EXPECT_TRUE(server.is_asked_now());
    server.next();
    reflector.reset();
    shard.poll();
  }
}

TEST_F(ReflectorTest, IsNotHeldOffByAServerThatIsStarting) {
  start();
  server.next().answer(503, status(503, "starting"), "Retry-After: 5\r\n");
  ASSERT_TRUE(turn_until(shard, [&] { return reflector->counts().errors == 1; }));
  shard.advance(BackOff::kMost);
  EXPECT_TRUE(server.is_asked_now());
}

TEST_F(ReflectorTest, NeverPausesLongerThanTheBackOff) {
  start();
  for (int failure = 0; failure < 12; ++failure) {
    Asked list = server.next();
    list.answer(500, status(500, "no"));
    ASSERT_TRUE(turn_until(shard, [&] { return reflector->counts().errors == static_cast<std::uint64_t>(failure) + 1; }));
    shard.advance(BackOff::kMost);
  }
  server.next().answer(200, page("10", object("a", "1")));
  ASSERT_TRUE(told(1));
}

TEST_F(ReflectorTest, TriesAgainWhileItHasNoRightsOrTheKindIsMissing) {
  start();
  for (const int code : {403, 404, 403}) {
    Asked list = code == 403 && reflector->counts().errors == 0 ? server.next() : next_after_a_pause();
    list.answer(code, status(code, "no"));
    ASSERT_TRUE(turn_until(shard, [&] { return reflector->forbidden() == (code == 403); }));
  }
  next_after_a_pause().answer(200, page("10", object("a", "1")));
  ASSERT_TRUE(told(1));
  EXPECT_FALSE(reflector->forbidden());
}

TEST_F(ReflectorTest, ListsAnewWhenTheServerKeepsRefusingItsPlace) {
  start();
  server.next().answer(200, page("10", ""));
  for (int i = 0; i < 3; ++i) {
    Asked watch = i == 0 ? server.next() : next_after_a_pause();
    EXPECT_NE(watch.target.find("watch=1"), std::string::npos);
    watch.answer(504, status(504, "Too large resource version", "Timeout"));
  }
  EXPECT_NE(next_after_a_pause().target.find("?limit=500"), std::string::npos);
}

TEST_F(ReflectorTest, ReadsItsTokenAgainWhenItIsRefused) {
  std::string pattern = std::filesystem::temp_directory_path() / "token-XXXXXX";
  const int descriptor = ::mkstemp(pattern.data());
  ASSERT_GE(descriptor, 0);
  ::close(descriptor);
  std::ofstream(pattern) << "first\n";
  ClusterConfig cluster = server.cluster();
  cluster.token = {pattern, "", pattern};
  client = make_client(shard, resolver, std::move(cluster));
  start();
  const Asked list = server.next();
  EXPECT_TRUE(list.has("\r\nAuthorization: Bearer first\r\n")) << list.head;
  std::ofstream(pattern) << "second";
  list.answer(401, status(401, "Unauthorized"));
  const Asked again = server.next();  // without a pause
  EXPECT_TRUE(again.has("\r\nAuthorization: Bearer second\r\n")) << again.head;
  again.answer(200, page("10", ""));
  server.next().answer(401, "");
  const Asked watch = next_after_a_pause();
  EXPECT_TRUE(watch.has("Bearer second"));
  EXPECT_TRUE(watch.target.find("watch=1") != std::string::npos);
  EXPECT_EQ(reflector->counts().unauthorized, 2u);
  std::ofstream(pattern) << "third";
  watch.begin_watch();
  watch.end_watch();
  shard.advance(Credentials::kReadAgain);
  EXPECT_TRUE(server.next().has("Bearer third")) << "the token is read again every minute";
  std::filesystem::remove(pattern);
}

TEST_F(ReflectorTest, DoesNotAskAServerWithoutAPauseThatEndsEachWatchAtOnce) {
  start();
  server.next().answer(200, page("10", ""));
  for (std::uint64_t round = 0; round < 5; ++round) {
    const Asked watch = server.next();
    watch.begin_watch();
    watch.end_watch();
    ASSERT_TRUE(turn_until(shard, [&] { return reflector->counts().errors == round + 1; }));
    shard.advance(BackOff::kMost);
  }
}

}  // namespace
}  // namespace router::kubernetes::test
