#include "router/listening/operators.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>

#include "tests/support/test_shard.h"
#include "tests/unit/admin/operator_client.h"

namespace router::listening {
namespace {

using test::OperatorClient;

class OperatorsListeners : public ::testing::Test {
 protected:
  OperatorsListeners() {
    wanted.observe_address = "unix:" + path("observe");
    wanted.admin_address = "unix:" + path("admin");
  }
  ~OperatorsListeners() override {
    operators.stop();
    control.poll();
    std::filesystem::remove_all(folder);
  }
  static std::string make_folder() {
    char path[] = "/tmp/operators-XXXXXX";
    return ::mkdtemp(path);
  }
  std::string path(const std::string& name) const { return folder + "/" + name; }
  static std::vector<admin::OperatorRoute> says(const std::string& what) {
    return {{"GET", "/who", [what](const auto&) {
               admin::Response response;
               response.body = what;
               return response;
             }}};
  }
  void apply() {
    config::Findings findings;
    Operators::Change change = operators.prepare(wanted, operators.given_up(wanted), findings);
    ASSERT_FALSE(findings.has_mistakes()) << findings.mistakes();
    operators.apply(std::move(change));
    control.poll();
  }
  std::string who(const std::string& name) { return OperatorClient(control, path(name)).get("/who").body; }

  const std::string folder = make_folder();
  test::TestShard control;
  Operators operators{control, [] { return says("observe"); }, [] { return says("admin"); }};
  config::Process wanted;
};

TEST_F(OperatorsListeners, AnswerEachWithItsRoutes) {
  apply();
  EXPECT_EQ(who("observe"), "observe");
  EXPECT_EQ(who("admin"), "admin");
}

TEST_F(OperatorsListeners, MoveWithoutAGap) {
  apply();
  wanted.admin_address = "unix:" + path("moved");
  config::Findings findings;
  Operators::Change change = operators.prepare(wanted, {}, findings);
  ASSERT_FALSE(findings.has_mistakes()) << findings.mistakes();
  EXPECT_EQ(who("admin"), "admin") << "the old listener answers until the new one is in use";
  operators.apply(std::move(change));
  control.poll();
  EXPECT_EQ(who("moved"), "admin");
  EXPECT_FALSE(OperatorClient(control, path("admin")).connected());
  EXPECT_EQ(who("observe"), "observe") << "the other listener stays";
}

TEST_F(OperatorsListeners, AreAsTheyWereIfOneCannotBeOpened) {
  apply();
  wanted.observe_address = "unix:" + path("nowhere/observe");
  config::Findings findings;
  { const Operators::Change dropped = operators.prepare(wanted, {}, findings); }
  EXPECT_TRUE(findings.has_mistakes());
  EXPECT_EQ(who("observe"), "observe");
  EXPECT_EQ(who("admin"), "admin");
}

}  // namespace
}  // namespace router::listening
