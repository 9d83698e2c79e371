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
  const WithdrawNote withdraw{{"ns/uid-1:80", "ns/uid-2:80"}, 3, kMost};
  EXPECT_EQ(*decode_withdraw(encode_withdraw(withdraw).value()), withdraw);
  const WithdrawNote nothing{{}, 1, 0};
  EXPECT_EQ(*decode_withdraw(encode_withdraw(nothing).value()), nothing) << "takes back what was said before";
  EXPECT_TRUE(decode_withdraw("1\n3 7\np\n").ok());
  for (const char* wrong :
       {"", "1\n", "1\n3 7", "1\n3\n", "1\n0 7\np\n", "1\n31 7\np\n", "1\n-3 7\np\n", "1\n3 -7\np\n", "1\n3 7 \np\n",
        "1\n3 7\np", "1\n3 7\n\n", "1\n3 7\np\np\n", "1\n3 7\nq\np\n", "1\n3 7\na pod\n", "2\n3 7\np\n"}) {
    EXPECT_FALSE(decode_withdraw(wrong).ok()) << wrong;
  }
}

TEST(ScalingRunningText, ComesBackOrIsRefused) {
  const RunningNote running{kMost, {{"ns/uid-1:80", 0}, {"ns/uid-2:80", kMost}}};
  EXPECT_EQ(*decode_running(encode_running(running).value()), running);
  EXPECT_EQ(*decode_running(encode_running({}).value()), RunningNote());
  for (const char* wrong : {"", "1\n", "1\n7", "1\nx\n", "1\n7\np\n", "1\n7\np 1", "1\n7\np -1\n", "1\n7\np 1 2\n",
                            "1\n7\n 1\n", "1\n7\np 1\np 1\n", "1\n7\nq 1\np 1\n", "2\n7\n"}) {
    EXPECT_FALSE(decode_running(wrong).ok()) << wrong;
  }
  EXPECT_FALSE(encode_running({1, {{"a pod", 1}}}).ok());
}

/// As many pods as a body may name, and `more`; each name has at least `size` characters.
std::vector<std::string> many_pods(std::size_t more, std::size_t size = 0) {
  std::vector<std::string> pods;
  for (std::size_t i = 0; i < kWithdrawnMax + more; ++i) {
    pods.push_back("ns/pod-" + std::to_string(100000 + i));
    pods.back().resize(std::max(size, pods.back().size()), 'p');
  }
  return pods;
}

TEST(ScalingWithdrawText, IsBounded) {
  EXPECT_TRUE(decode_withdraw(encode_withdraw({many_pods(0), 3}).value()).ok());
  EXPECT_FALSE(encode_withdraw({many_pods(1), 3}).ok()) << "too many";
  EXPECT_FALSE(encode_withdraw({many_pods(0, kPodIdMax), 3}).ok()) << "too long";
  EXPECT_FALSE(encode_withdraw({{std::string(kPodIdMax + 1, 'p')}, 3}).ok());
  std::string body = "1\n3 7\n";
  for (const std::string& pod : many_pods(1)) body += pod + "\n";
  EXPECT_FALSE(decode_withdraw(body).ok());
}

TEST(ScalingRunningText, IsBounded) {
  const auto running_at = [](const std::vector<std::string>& pods) {
    RunningNote running;
    for (const std::string& pod : pods) running.pods[pod] = 1;
    return running;
  };
  EXPECT_TRUE(decode_running(encode_running(running_at(many_pods(0))).value()).ok());
  EXPECT_FALSE(encode_running(running_at(many_pods(1))).ok());
  EXPECT_FALSE(encode_running(running_at(many_pods(0, kPodIdMax))).ok());
  std::string body = "1\n7\n";
  for (const std::string& pod : many_pods(1)) body += pod + " 1\n";
  EXPECT_FALSE(decode_running(body).ok());
}

}  // namespace
}  // namespace router::scaling::test
