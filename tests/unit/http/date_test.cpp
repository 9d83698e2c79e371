#include "router/http/date.h"

#include <gtest/gtest.h>

#include <string>

namespace router::http {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::system_clock;

std::string date_of(std::int64_t unix_seconds) {
  const auto text = format_date(system_clock::time_point(seconds(unix_seconds)));
  return {text.data(), text.size()};
}

TEST(Date, IsWrittenAsTheRfcHasIt) {
  EXPECT_EQ(date_of(784111777), "Sun, 06 Nov 1994 08:49:37 GMT");
  EXPECT_EQ(date_of(0), "Thu, 01 Jan 1970 00:00:00 GMT");
  EXPECT_EQ(date_of(1709210096), "Thu, 29 Feb 2024 12:34:56 GMT");
  EXPECT_EQ(date_of(4102444799), "Thu, 31 Dec 2099 23:59:59 GMT");
}

TEST(Date, IsFormattedAgainWhenASecondIsOver) {
  Date date;
  TimePoint now{std::chrono::hours(1)};
  const std::string first(date.at(now));
  const char* const text = date.at(now).data();
  EXPECT_EQ(date.at(now + milliseconds(0)).data(), text);
  // The new text depends on the wall clock, so the test checks only its form.
  const std::string later(date.at(now + seconds(1)));
  EXPECT_EQ(first.size(), later.size());
  EXPECT_TRUE(later.ends_with(" GMT"));
}

}  // namespace
}  // namespace router::http
