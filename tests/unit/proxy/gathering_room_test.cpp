#include "router/proxy/gathering_room.h"

#include <gtest/gtest.h>

#include "router/proxy/upload_time.h"

namespace router::proxy {
namespace {

using namespace std::chrono_literals;

TEST(GatheringRoom, HasRoomForSoManyBytesOfAllTogether) {
  GatheringRoom room(100);
  GatheringRoom::Share one(room);
  GatheringRoom::Share other(room);
  EXPECT_TRUE(one.grow(60));
  EXPECT_TRUE(one.grow(60)) << "the share stays the same";
  EXPECT_TRUE(other.grow(40));
  EXPECT_FALSE(one.grow(61));
  EXPECT_FALSE(other.grow(41));
}

TEST(GatheringRoom, GetsBackWhatARequestHadGathered) {
  GatheringRoom room(100);
  {
    GatheringRoom::Share one(room);
    EXPECT_TRUE(one.grow(80));
    EXPECT_FALSE(one.grow(101)) << "a share that cannot grow stays as it was";
  }
  GatheringRoom::Share other(room);
  EXPECT_TRUE(other.grow(100));
}

TEST(UploadTime, IsLongerForALargeBody) {
  EXPECT_EQ(UploadTime(60s, 0).left(), 60s);
  EXPECT_EQ(UploadTime(60s, 100'000'000).left(), 160s);
}

TEST(UploadTime, IsSpentByWaitingOnly) {
  UploadTime time(2s, 0);
  time.waited(1500ms);
  EXPECT_EQ(time.left(), 500ms);
  EXPECT_EQ(time.left_for_first_byte(), 0s);
  time.waited(1s);
  EXPECT_EQ(time.left(), 0s);
}

}  // namespace
}  // namespace router::proxy
