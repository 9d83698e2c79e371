#include "router/scaling/signals_text.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <random>

#include "tests/unit/scaling/cases.h"

namespace router::scaling::test {
namespace {

constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();

Signal signal_of(double busy, std::uint64_t arrivals = 7) {
  Signal signal;
  signal.incarnation = kMost;
  signal.uptime = Seconds(1.1);
  signal.since_start = {
      .busy = busy, .waiting = 0.1, .held = 1e300, .told = 5e-324, .returns = 3, .arrivals = arrivals, .refusals = kMost};
  signal.waking = 4;
  return signal;
}

bool equal(const Signal& a, const Signal& b) {
  return a.incarnation == b.incarnation && a.uptime == b.uptime && a.since_start == b.since_start && a.waking == b.waking;
}

bool equal(const SignalsNote& a, const SignalsNote& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& one, const auto& other) {
    return one.first == other.first && equal(one.second, other.second);
  });
}

/// A body of one line, which is refused or not.
bool read_line(const std::string& line) { return decode_signals("1\n" + line).ok(); }

TEST(ScalingSignalsText, ComesBackExactly) {
  std::mt19937_64 random(1);
  SignalsNote signals;
  for (int i = 0; i < 200; ++i) {
    // Every finite number that is not negative, with equal weight for every exponent.
    double busy = std::abs(std::bit_cast<double>(random()));
    if (!std::isfinite(busy)) busy = std::numeric_limits<double>::max();
    signals[{"team-a", "endpoint", "d" + std::to_string(i)}] = signal_of(busy, random());
  }
  signals[{"", "Endpoint-1", "B"}] = signal_of(0);
  const std::vector<std::string> bodies = encode_signals(signals);
  ASSERT_EQ(bodies.size(), 1U);
  const absl::StatusOr<SignalsNote> read = decode_signals(bodies.front());
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_TRUE(equal(*read, signals));
}

TEST(ScalingSignalsText, OfManyDeploymentsIsSplit) {
  SignalsNote signals;
  for (int i = 0; i < 4000; ++i) signals[{"team-a", "endpoint-" + std::to_string(i), "blue"}] = signal_of(i / 3.0);
  const std::vector<std::string> bodies = encode_signals(signals);
  SignalsNote all;
  for (const std::string& body : bodies) {
    EXPECT_LE(body.size(), kSignalsTextMax);
    absl::StatusOr<SignalsNote> read = decode_signals(body);
    ASSERT_TRUE(read.ok()) << read.status();
    all.merge(*read);
    EXPECT_TRUE(read->empty()) << "each deployment is in one body";
  }
  EXPECT_TRUE(equal(all, signals));
  EXPECT_GE(bodies.size(), 6U);
  EXPECT_LE(bodies.size(), 12U);
  EXPECT_TRUE(encode_signals({}).empty());
}

TEST(ScalingSignalsText, IsRefusedAsAWholeIfAnythingIsWrong) {
  const std::string right = "ns/a/b 1 2 3 4 5 6 7 8 9 10\n";
  ASSERT_TRUE(read_line(right));
  EXPECT_TRUE(read_line(right + "ns/a/c 1 2 3 4 5 6 7 8 9 10\n"));
  for (const char* wrong : {"ns/a/b 1 2 3 4 5 6 7 8 9 10",       // no end
                            "ns/a/b 1 2 3 4 5 6 7 8 9\n",        // a number is missing
                            "ns/a/b 1 2 3 4 5 6 7 8 9 10 11\n",  // one too many
                            "ns/a/b  1 2 3 4 5 6 7 8 9 10\n",
                            "ns/a/b 1 2 3 4 5 6 7 8 9 10 \n",
                            "ns/a/b 1 -2 3 4 5 6 7 8 9 10\n",
                            "ns/a/b 1 2 -0 4 5 6 7 8 9 10\n",
                            "ns/a/b 1 2 inf 4 5 6 7 8 9 10\n",
                            "ns/a/b 1 2 nan 4 5 6 7 8 9 10\n",
                            "ns/a/b 1 2 1e999 4 5 6 7 8 9 10\n",
                            "ns/a/b 1 2 3x 4 5 6 7 8 9 10\n",
                            "ns/a/b 1 2 3 4 5 6 7.5 8 9 10\n",
                            "ns/a/b -1 2 3 4 5 6 7 8 9 10\n",
                            "ns/a/b 1 2 3 4 5 6 7 8 9 4294967296\n",
                            "ns/a/b 1 2 3 4 5 6 18446744073709551616 8 9 10\n",  // more than 64 bits
                            "ns/a 1 2 3 4 5 6 7 8 9 10\n",
                            "ns/a/b/c 1 2 3 4 5 6 7 8 9 10\n",
                            "ns//b 1 2 3 4 5 6 7 8 9 10\n",
                            "Ns/a/b 1 2 3 4 5 6 7 8 9 10\n",
                            "ns/a/b\xff 1 2 3 4 5 6 7 8 9 10\n",
                            "ns/a/b12345678901234567890123456789012 1 2 3 4 5 6 7 8 9 10\n",
                            "\n"}) {
    EXPECT_FALSE(read_line(wrong)) << wrong;
    EXPECT_FALSE(read_line(right + wrong)) << wrong;
  }
  EXPECT_FALSE(read_line(right + right)) << "a deployment twice";
  EXPECT_FALSE(decode_signals("2\n" + right).ok()) << "of another version";
  EXPECT_FALSE(decode_signals("").ok());
  EXPECT_TRUE(decode_signals("1\n").ok());
  std::string many = "1\n";
  for (char c = 'a'; many.size() <= kSignalsTextMax; ++c) many += std::string("ns/a/b 1 2 3 4 5 6 7 8 9 10\n");
  EXPECT_FALSE(decode_signals(many).ok());
}

TEST(ScalingWakeText, ComesBackOrIsRefused) {
  const WakeNote wake{{"ns", "a", "b"}, 12};
  EXPECT_EQ(*decode_wake(encode_wake(wake)), wake);
  EXPECT_EQ(text_of(wake.of), "ns/a/b");
  for (const char* wrong : {"", "1\n", "1\nns/a/b 12", "1\nns/a/b\n", "1\nns/a/b x\n", "1\nns/a/b 1 2\n", "2\nns/a/b 1\n",
                            "1\nns/a/b 1\n\n", "1\na/b 1\n"}) {
    EXPECT_FALSE(decode_wake(wrong).ok()) << wrong;
  }
}

TEST(ScalingWithdrawText, ComesBackOrIsRefused) {
  const WithdrawNote withdraw{{"ns/uid-1:80", "ns/uid-2:80"}, 3};
  EXPECT_EQ(*decode_withdraw(encode_withdraw(withdraw).value()), withdraw);
  const WithdrawNote nothing{{}, 1};
  EXPECT_EQ(*decode_withdraw(encode_withdraw(nothing).value()), nothing) << "takes back what was said before";
  for (const char* wrong : {"", "1\n", "1\n3", "1\n0\np\n", "1\n31\np\n", "1\n-3\np\n", "1\n3 \np\n", "1\n3\np", "1\n3\n\n",
                            "1\n3\np\np\n", "1\n3\nq\np\n", "1\n3\na pod\n", "2\n3\np\n"}) {
    EXPECT_FALSE(decode_withdraw(wrong).ok()) << wrong;
  }
}

TEST(ScalingWithdrawText, IsBounded) {
  WithdrawNote withdraw{{}, 3};
  for (std::size_t i = 0; i < kWithdrawnMax; ++i) withdraw.pods.push_back("ns/pod-" + std::to_string(100000 + i));
  EXPECT_TRUE(decode_withdraw(encode_withdraw(withdraw).value()).ok());
  withdraw.pods.push_back("ns/pod-999999");
  EXPECT_FALSE(encode_withdraw(withdraw).ok()) << "too many";
  std::string body = "1\n3\n";
  for (const std::string& pod : withdraw.pods) body += pod + "\n";
  EXPECT_FALSE(decode_withdraw(body).ok());
  EXPECT_FALSE(encode_withdraw({{std::string(kPodIdMax + 1, 'p')}, 3}).ok());
  for (std::string& pod : withdraw.pods) pod += std::string(kPodIdMax - pod.size(), 'p');
  withdraw.pods.pop_back();
  EXPECT_FALSE(encode_withdraw(withdraw).ok()) << "too long";
}

}  // namespace
}  // namespace router::scaling::test
