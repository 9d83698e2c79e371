#include "router/serving/publication.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/support/loopback.h"
#include "tests/unit/serving/publication_world.h"

namespace router::serving {
namespace {

using Names = std::set<std::string>;

class PublicationOfFiles : public PublicationWorld {
 protected:
  PublicationOfFiles() {
    EXPECT_TRUE(publication.publish(files(publication.files())).ok());
    turn();
  }
  /// The publication fails with this message and changes nothing.
  void expect_refused(const config::Config& config, const std::string& why) {
    const std::string before = in_force();
    const absl::Status refused = publication.publish(files(config));
    turn();
    EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_NE(std::string(refused.message()).find(why), std::string::npos) << refused.message();
    EXPECT_EQ(in_force(), before);
  }
};

TEST_F(PublicationOfFiles, IsWhatExchangesFind) {
  EXPECT_EQ(routed(), Names{"iris"});
  EXPECT_EQ(publication.generation(), 1u);
  EXPECT_TRUE(publication.publish(files(settings({"rose", "tulip"}))).ok());
  turn();
  EXPECT_EQ(routed(), (Names{"rose", "tulip"}));
  EXPECT_EQ(views.newest()->generation, 2u);
  EXPECT_EQ(live.all().size(), 2u);
  EXPECT_EQ(live.get("rose/blue").replicas.size(), 1u);
}

TEST_F(PublicationOfFiles, KeepsSocketsAndLogOfThoseBeforeIfOnlyKeysCome) {
  const auto listener = views.newest()->listeners.begin()->first;
  config::Config keys = publication.files();
  keys.endpoints.front().keys.emplace_back();
  EXPECT_TRUE(publication.publish({.files = std::move(keys)}).ok());
  EXPECT_EQ(views.newest()->listeners.begin()->first, listener);
  EXPECT_EQ(views.newest()->table.endpoints.front()->keys.size(), 1u);
  EXPECT_EQ(publication.files().endpoints.front().keys.size(), 1u);
  EXPECT_EQ(publication.generation(), 2u);
}

TEST_F(PublicationOfFiles, ChangesNothingIfAListenersPortIsTaken) {
  const test::LoopbackListener other;
  config::Config config = settings({"iris", "rose"});
  config.process.access_log = folder + "/access.log";
  config.process.listeners.resize(3, config.process.listeners.front());
  config.process.listeners.back().port = other.address().port();
  expect_refused(config, "cannot listen on 127.0.0.1");
}

TEST_F(PublicationOfFiles, ChangesNothingIfTheAccessLogCannotBeOpened) {
  config::Config config = settings({"iris", "rose"});
  config.process.access_log = folder + "/nowhere/access.log";
  config.process.listeners.resize(2, config.process.listeners.front());
  expect_refused(config, folder + "/nowhere/access.log");
}

TEST_F(PublicationOfFiles, ChangesNothingIfTheLogCannotBeOpened) {
  config::Config config = settings({"rose"});
  config.process.log_file = folder;  // this is a folder
  expect_refused(config, folder);
}

TEST_F(PublicationOfFiles, ChangesNothingIfAnOperatorsListenerCannotBeOpened) {
  config::Config config = settings({"rose"});
  config.process.admin_address = "unix:" + folder + "/nowhere/admin";
  expect_refused(config, "nowhere/admin");
}

TEST_F(PublicationOfFiles, ChangesNothingIfItNeedsAnotherProcess) {
  config::Config threads = settings({"rose"});
  threads.process.threads = 2;
  expect_refused(threads, "it has 1: restart it");
  config::Config buckets = settings({"rose"});
  buckets.process.buckets.push_back(std::chrono::seconds(1));
  expect_refused(buckets, "cannot be divided anew");
  config::Config kubernetes = settings({"rose"});
  kubernetes.process.kubernetes.emplace();
  expect_refused(kubernetes, "cannot change while the router runs");
}

TEST_F(PublicationOfFiles, ChangesNothingIfListenersChangeWhileTheRouterDrains) {
  draining = true;
  config::Config config = settings({"rose"});
  config.process.listeners.resize(2, config.process.listeners.front());
  expect_refused(config, "while the router drains");
  EXPECT_TRUE(publication.publish(files(settings({"rose"}))).ok()) << "other settings may change";
}

TEST_F(PublicationOfFiles, ChangesNothingOrEverythingWhicheverAllocationFails) {
  bool more = false;
  const auto next = [&] {
    const bool other = !live.all().contains("rose/blue");
    config::Config config = settings(other ? std::vector<std::string>{"iris", "rose"} : std::vector<std::string>{"iris"});
    config.process.listeners.resize(other ? 2 : 1, config.process.listeners.front());
    config.process.observe_address = "unix:" + folder + (other ? "/observe2" : "/observe");
    if (other) config.process.access_log = folder + "/access.log";
    config.warnings.emplace_back("a warning");
    more = other;
    return files(std::move(config));
  };
  fail_each_allocation(next, [&] {
    return routed().size() == (more ? 2u : 1u) && views.newest()->listeners.size() == (more ? 2u : 1u) &&
           (views.newest()->access_log != nullptr) == more && live.all().size() == (more ? 2u : 1u) &&
           live.get("iris/blue").replicas.size() == 1;
  });
}

TEST_F(PublicationOfFiles, OfKeysChangesNothingOrEverythingWhicheverAllocationFails) {
  std::size_t keys = 0;
  const auto next = [&] {
    config::Config config = publication.files();
    config.endpoints.front().keys.resize(keys = config.endpoints.front().keys.empty() ? 1 : 0);
    return Publication::Sources{.files = std::move(config)};
  };
  fail_each_allocation(next, [&] { return views.newest()->table.endpoints.front()->keys.size() == keys; });
}

}  // namespace
}  // namespace router::serving
