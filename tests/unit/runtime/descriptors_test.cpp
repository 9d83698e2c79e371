#include "router/runtime/descriptors.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>

namespace router::runtime {
namespace {

/// Restores this process's limit of descriptors at the end.
class DescriptorsTest : public ::testing::Test {
 protected:
  DescriptorsTest() { ::getrlimit(RLIMIT_NOFILE, &before); }
  ~DescriptorsTest() override { ::setrlimit(RLIMIT_NOFILE, &before); }
  void allow(rlim_t soft) const {
    const rlimit limit{soft, before.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
  }
  rlimit before{};
};

TEST_F(DescriptorsTest, AreKeptForReplicasAndOperators) {
  allow(1024);
  EXPECT_EQ(client_descriptors_end(), 768);
  EXPECT_EQ(replica_descriptors_end(), 960);
  allow(64);
  EXPECT_EQ(client_descriptors_end(), 48);
  EXPECT_EQ(replica_descriptors_end(), 60);
}

TEST_F(DescriptorsTest, AreKeptInNumbersThatDoNotGrowForEver) {
  const auto most = static_cast<int>(std::min<rlim_t>(before.rlim_max, 20000));  // as many as this process may have
  allow(static_cast<rlim_t>(most));
  EXPECT_EQ(client_descriptors_end(), most - std::min(most / 4, 4096));
  EXPECT_EQ(replica_descriptors_end(), most - std::min(most / 16, 64));
}

TEST_F(DescriptorsTest, AreThereForClientsWhileTheLowestFreeNumberIsTheirs) {
  EXPECT_TRUE(has_client_descriptors());
  allow(4);  // numbers 0 to 2 are the standard streams, and more are open
  EXPECT_FALSE(has_client_descriptors());
}

TEST_F(DescriptorsTest, AreAsManyAsThisProcessMayHave) {
  allow(100);
  raise_descriptor_limit();
  rlimit now{};
  ::getrlimit(RLIMIT_NOFILE, &now);
  EXPECT_EQ(now.rlim_cur, before.rlim_max);
}

TEST(Shortage, IsOursOrThePeersMatter) {
  for (const int ours : {EMFILE, ENFILE, ENOBUFS, ENOMEM, EADDRNOTAVAIL}) EXPECT_TRUE(is_our_shortage(ours)) << ours;
  for (const int theirs : {ECONNREFUSED, ETIMEDOUT, EHOSTUNREACH, ECONNRESET, 0})
    EXPECT_FALSE(is_our_shortage(theirs)) << theirs;
}

}  // namespace
}  // namespace router::runtime
