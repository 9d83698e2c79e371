#include "tls/certificate_choice.h"

#include <gtest/gtest.h>

#include <chrono>

namespace router::tls {
namespace {

using std::chrono::seconds;
using std::chrono::sys_seconds;

Candidate candidate(std::size_t index, int from, int until, int key_type = 1) {
  return {index, key_type, sys_seconds(seconds(from)), sys_seconds(seconds(until))};
}

/// The certificates that are offered at `second`, and whether they are valid.
std::pair<Selection, bool> offered(const std::vector<Offer>& offers, int second) {
  const Offer* last = nullptr;
  for (const Offer& each : offers) {
    if (each.from <= sys_seconds(seconds(second))) last = &each;
  }
  return {last->selection, last->valid};
}

TEST(CertificateChoice, OfOneIsThatOneAtEveryTime) {
  const auto offers = offers_of({candidate(3, 10, 20)});
  ASSERT_EQ(offers.size(), 3u);
  EXPECT_EQ(offered(offers, 9), std::pair(Selection{3}, false));
  EXPECT_EQ(offered(offers, 10), std::pair(Selection{3}, true));
  EXPECT_EQ(offered(offers, 20), std::pair(Selection{3}, true)) << "a certificate is valid during its last second";
  EXPECT_EQ(offered(offers, 21), std::pair(Selection{3}, false));
}

TEST(CertificateChoice, IsAlwaysValidWhereOneIs) {
  const std::vector<Candidate> candidates{candidate(0, 0, 30), candidate(1, 20, 60, 2), candidate(2, 10, 40),
                                          candidate(3, 70, 80, 2)};
  const auto offers = offers_of(candidates);
  for (int second = -5; second < 100; ++second) {
    bool any = false;
    for (const Candidate& each : candidates) any = any || each.is_valid(sys_seconds(seconds(second)));
    const auto [selection, valid] = offered(offers, second);
    EXPECT_EQ(valid, any) << second;
    ASSERT_FALSE(selection.empty()) << second;
    for (const std::size_t index : selection) {
      EXPECT_EQ(candidates[index].is_valid(sys_seconds(seconds(second))), any) << second;
    }
  }
  EXPECT_EQ(offered(offers, 25).first, (Selection{0, 1})) << "the first of each type of key";
  EXPECT_EQ(offered(offers, 35).first, (Selection{1, 2}));
  EXPECT_EQ(offered(offers, 65).first, (Selection{2, 3})) << "none is valid: the one of each type that ends last";
}

TEST(CertificateChoice, BearsTimesAtTheEndsOfTheCalendar) {
  const auto never = sys_seconds(seconds(253402300799));  // 99991231235959Z
  const auto offers = offers_of({{0, 1, sys_seconds(seconds(-2208988800)), never}});
  EXPECT_TRUE(offered(offers, 0).second);
  EXPECT_FALSE(offers.back().valid);
}

}  // namespace
}  // namespace router::tls
