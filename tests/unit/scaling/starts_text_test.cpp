#include <gtest/gtest.h>

#include "router/scaling/signals_text.h"

namespace router::scaling::test {
namespace {

const DeploymentName kBlue{"team-a", "house", "blue"};
const DeploymentName kGreen{"team-a", "house", "green"};

TEST(ScalingStartsText, ComesBackAsItWas) {
  const StartsNote starts = {{kBlue, {.holds = true, .pod_start = Seconds(31.25), .asked_for = Seconds(0.1)}},
                             {kGreen, {.holds = false, .pod_start = Seconds(30), .asked_for = Seconds(0)}}};
  const std::vector<std::string> bodies = encode_starts(starts);
  ASSERT_EQ(bodies.size(), 1u);
  const auto read = decode_starts(bodies[0]);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, starts);
  EXPECT_TRUE(encode_starts({}).empty());
}

TEST(ScalingStartsText, RefusesWhatNobodyWrote) {
  const std::string good = encode_starts({{kBlue, {.holds = true, .pod_start = Seconds(30)}}})[0];
  EXPECT_TRUE(decode_starts(good).ok());
  for (const char* body : {"", "2\n", "1", "1\nteam-a/house/blue 1 30 0", "1\nteam-a/house/blue 2 30 0\n",
                           "1\nteam-a/house/blue 1 -30 0\n", "1\nteam-a/house/blue 1 30\n", "1\nteam-a/house/blue 1 30 0 4\n",
                           "1\nteam-a/house/blue 1 2e6 0\n", "1\nteam-a/house/blue 1 inf 0\n", "1\nteam-a/house 1 30 0\n",
                           "1\nteam-a/house/green 1 30 0\nteam-a/house/blue 1 30 0\n"}) {
    EXPECT_FALSE(decode_starts(body).ok()) << body;
  }
}

}  // namespace
}  // namespace router::scaling::test
