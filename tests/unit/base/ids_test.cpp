#include "router/base/ids.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <thread>

#include "router/base/text.h"
#include "router/base/time.h"

namespace router {
namespace {

TEST(Uuid, IsARandomOneOfVersionFour) {
  for (int i = 0; i < 1000; ++i) {
    const UuidText uuid = new_uuid();
    const std::string text(view_of(uuid));
    ASSERT_TRUE(is_uuid(text)) << text;
    EXPECT_EQ(text[14], '4');
    EXPECT_NE(std::string("89ab").find(text[19]), std::string::npos) << text;
    EXPECT_EQ(text, lower_case(text));
  }
}

TEST(Uuid, IsNeverTheSameTwiceOverThreadsToo) {
  std::set<std::string> here;
  std::set<std::string> there;
  const auto draw = [](std::set<std::string>& into) {
    for (int i = 0; i < 10'000; ++i) into.emplace(view_of(new_uuid()));
  };
  std::thread other([&] { draw(there); });
  draw(here);
  other.join();
  here.merge(there);
  EXPECT_EQ(here.size(), 20'000u);
}

TEST(Uuid, IsRecognisedInEitherCase) {
  EXPECT_TRUE(is_uuid("00000000-0000-0000-0000-000000000000"));
  EXPECT_TRUE(is_uuid("6F9619FF-8B86-D011-B42D-00C04FC964FF"));
  EXPECT_FALSE(is_uuid(""));
  EXPECT_FALSE(is_uuid("6f9619ff-8b86-d011-b42d-00c04fc964f"));
  EXPECT_FALSE(is_uuid("6f9619ff-8b86-d011-b42d-00c04fc964fff"));
  EXPECT_FALSE(is_uuid("6f9619ff08b86-d011-b42d-00c04fc964ff"));
  EXPECT_FALSE(is_uuid("6f9619ff-8b86-d011-b42d-00c04fc964fg"));
  EXPECT_FALSE(is_uuid("6f9619ff-8b86-d011-b42d-00c04fc964\nf"));
}

TEST(Text, ComparesWithoutCaseInAsciiOnly) {
  EXPECT_TRUE(equals_ignoring_case("Blue-2", "bLUE-2"));
  EXPECT_FALSE(equals_ignoring_case("[", "{"));  // they differ in the same bit as `A` and `a`
  EXPECT_FALSE(equals_ignoring_case("a", "ab"));
  EXPECT_TRUE(starts_with_ignoring_case("Bearer x", "bearer "));
  EXPECT_FALSE(starts_with_ignoring_case("Bear", "bearer"));
}

TEST(Deadline, OfATimeoutBeyondTheClockIsNever) {
  const TimePoint now{std::chrono::hours(1)};
  EXPECT_EQ(deadline_after(now, std::chrono::seconds(2)), now + std::chrono::seconds(2));
  EXPECT_EQ(deadline_after(now, Duration::max()), kNever);
}

}  // namespace
}  // namespace router
