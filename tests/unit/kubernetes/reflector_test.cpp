#include "router/kubernetes/reflector.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>

#include "router/kubernetes/back_off.h"
#include "router/kubernetes/json.h"
#include "router/kubernetes/watch_events.h"
#include "tests/unit/kubernetes/api_server.h"

namespace router::kubernetes::test {
namespace {

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
