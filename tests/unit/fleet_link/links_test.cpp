#include "router/fleet_link/links.h"

#include <algorithm>
#include <set>

#include "tests/unit/fleet_link/node.h"

namespace router::fleet_link::test {
namespace {

class LinksTest : public FleetTest {};

bool is_large(const std::pair<LinkNumber, std::string>& frame) { return frame.second.size() == 100000; }

TEST_F(LinksTest, CarryFramesBothWays) {
  const auto a = node("a");
  const auto b = node("b");
  join(*a, *b);
  EXPECT_TRUE(a->send("b", "to b"));
  EXPECT_TRUE(b->send("a", "echo"));
  ASSERT_TRUE(until([&] { return b->got("to b") && a->got("echo") && b->got("echoed"); }));
  EXPECT_FALSE(a->links().send(12345, "nobody"));
}

TEST_F(LinksTest, CarryLargeFramesInOrder) {
  const auto a = node("a");
  const auto b = node("b");
  join(*a, *b);
  for (const char each : {'1', '2', '3'}) EXPECT_TRUE(a->send("b", std::string(kFrameMax, each)));
  ASSERT_TRUE(until([&] { return b->seen().frames.size() == 3; }));
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(b->seen().frames[i].second, std::string(kFrameMax, static_cast<char>('1' + i)));
  }
}

TEST_F(LinksTest, StayOneForEachPairWhenBothDial) {
  const auto a = node("a");
  const auto b = node("b");
  join(*a, *b);
  ASSERT_TRUE(in_time([&] { return a->links_to("b") == 2 && b->links_to("a") == 2; })) << "each reaches the other by itself";
  a->send("b", "1");
  b->send("a", "2");
  ASSERT_TRUE(in_time([&] { return a->links_to("b") == 1 && b->links_to("a") == 1; }));
  EXPECT_TRUE(a->got("2") && b->got("1"));
  EXPECT_EQ(a->seen().ends.front().second, Ended::kReplaced);
  EXPECT_EQ(b->seen().ends.front().second, Ended::kReplaced);
  pass(seconds(3));
  EXPECT_EQ(a->links_to("b"), 1u) << "nobody dials again";
  EXPECT_EQ(a->seen().opens.size(), 2u);
  EXPECT_TRUE(a->seen().dead.empty() && b->seen().dead.empty());
  EXPECT_TRUE(a->send("b", "3"));
  EXPECT_TRUE(until([&] { return b->got("3"); }));
}

TEST_F(LinksTest, NeverLeaveAMemberWithoutOneWhileTwoBecomeOne) {
  const auto a = node("a");
  const auto b = node("b");
  join(*a, *b);
  for (int beat = 0; beat < 50; ++beat) {
    ASSERT_TRUE(a->send("b", "beat")) << beat;
    ASSERT_TRUE(b->send("a", "beat")) << beat;
    pass(milliseconds(20));
  }
  EXPECT_EQ(a->links_to("b"), 1u);
}

TEST_F(LinksTest, HaveNumbersThatNeverRepeat) {
  const auto a = node("a");
  auto b = node("b");
  join(*a, *b);
  const std::uint16_t port = b->port().port();
  b.reset();
  ASSERT_TRUE(in_time([&] { return !a->has_link_to("b"); }));
  const auto again = node("b", {}, port);
  ASSERT_TRUE(in_time([&] { return a->has_link_to("b"); }));
  std::set<LinkNumber> numbers;
  for (const auto& each : a->seen().opens) EXPECT_TRUE(numbers.insert(each.link).second);
}

TEST_F(LinksTest, DoNotLeadToTheOwnMember) {
  const auto a = node("a");
  a->links().set_peers({a->address()});
  pass(seconds(2));
  EXPECT_TRUE(a->seen().opens.empty());
  EXPECT_TRUE(a->seen().failures.empty()) << "the own address is no failure";
  EXPECT_LE(a->port().counts().links, 1u) << "and it is not dialled again";
}

TEST_F(LinksTest, TellThatAnAddressCannotBeReachedAndDialAgain) {
  const auto a = node("a");
  LoopbackListener gone;
  const Address address = gone.address();
  gone.close();
  a->links().set_peers({address});
  ASSERT_TRUE(in_time([&] { return a->seen().failures.size() >= 3; }));
  EXPECT_EQ(a->seen().failures.front(), std::make_pair(std::string("connecting failed"), ECONNREFUSED));
  const auto b = node("b", {}, address.port());
  EXPECT_TRUE(in_time([&] { return a->has_link_to("b"); }));
}

TEST_F(LinksTest, ReachAPeerAtOnceThatHasDialledFirst) {
  LinkOptions slow;
  slow.redial_first = slow.redial_max = milliseconds(60000);
  const auto a = node("a", slow);
  LoopbackListener gone;
  const Address address = gone.address();
  gone.close();
  a->links().set_peers({address});
  ASSERT_TRUE(in_time([&] { return !a->seen().failures.empty(); }));
  auto b = node("b", {}, address.port());
  b->links().set_peers({a->address()});
  ASSERT_TRUE(in_time([&] { return a->has_link_to("b"); }));
  a->links().dial_now(b->address());
  ASSERT_TRUE(in_time([&] { return a->links_to("b") == 2; }, seconds(1))) << "it waited for the pause after the failure";
  b.reset();
  EXPECT_TRUE(in_time([&] { return !a->seen().dead.empty(); }, seconds(1))) << "reached, so its death can be proven";
}

TEST_F(LinksTest, AreNotOpenedWithAnotherKey) {
  const auto a = node("a");
  const auto b = node("b");
  ASSERT_TRUE(b->links().replace_keys(keys(kOtherKey)).ok());
  a->links().set_peers({b->address()});
  b->links().set_peers({a->address()});
  ASSERT_TRUE(in_time([&] { return a->seen().failures.size() >= 2 && b->seen().failures.size() >= 2; }));
  EXPECT_TRUE(a->seen().opens.empty() && b->seen().opens.empty());
  EXPECT_GE(a->links().counts().failed, 1u);
  EXPECT_EQ(a->port().strangers().size(), 0u);
}

TEST_F(LinksTest, StayWhileAKeyIsAddedAndOpenAgainWhenOneIsTakenOut) {
  const auto a = node("a");
  const auto b = node("b");
  join(*a, *b);
  std::size_t sent = 0;
  const std::vector<std::pair<std::string, std::string>> steps{{kKey + "\n" + kOtherKey, kKey},
                                                               {kKey + "\n" + kOtherKey, kKey + "\n" + kOtherKey},
                                                               {kOtherKey + "\n" + kKey, kKey + "\n" + kOtherKey},
                                                               {kOtherKey + "\n" + kKey, kOtherKey + "\n" + kKey},
                                                               {kOtherKey, kOtherKey + "\n" + kKey},
                                                               {kOtherKey, kOtherKey}};
  for (std::size_t step = 0; step < steps.size(); ++step) {
    ASSERT_TRUE(a->links().replace_keys(keys(steps[step].first)).ok());
    ASSERT_TRUE(b->links().replace_keys(keys(steps[step].second)).ok());
    ASSERT_TRUE(in_time([&] { return a->has_link_to("b") && b->has_link_to("a"); })) << step;
    for (int i = 0; i < 20; ++i, ++sent) {
      ASSERT_TRUE(a->send("b", "beat"));
      shard.poll();
    }
    const auto c = node("c" + std::to_string(step));
    ASSERT_TRUE(c->links().replace_keys(keys(steps[step].first)).ok());
    c->links().set_peers({b->address()});
    EXPECT_TRUE(in_time([&] { return c->has_link_to("b"); })) << step;
  }
  EXPECT_TRUE(until([&] { return b->seen().frames.size() == sent; }));
  EXPECT_TRUE(a->has_link_to("b"));
}

TEST_F(LinksTest, EndWhenTheirKeyIsTakenOutOnOneSide) {
  const auto a = node("a");
  const auto b = node("b");
  join(*a, *b);
  ASSERT_TRUE(b->links().replace_keys(keys(kOtherKey)).ok());
  ASSERT_TRUE(in_time([&] { return !a->has_link_to("b") && !b->has_link_to("a"); }));
  EXPECT_TRUE(in_time([&] { return !a->seen().failures.empty() && !b->seen().failures.empty(); })) << "nobody is told";
  EXPECT_TRUE(a->seen().dead.empty()) << "its process lives";
}

TEST_F(LinksTest, EndWithByeWhenThePeerHasSaidSo) {
  const auto a = node("a");
  auto b = node("b");
  join(*a, *b);
  ASSERT_TRUE(in_time([&] { return a->links_to("b") == 2; })) << "the word is said on one and counts for both";
  EXPECT_TRUE(b->send("a", "bye"));
  b->links().close();
  auto closed = shard.start(b->links().wait(kNever));
  ASSERT_TRUE(in_time([&] { return closed.done() && a->links_to("b") == 0; }));
  EXPECT_TRUE(a->got("bye"));
  EXPECT_EQ(a->seen().ends.back().second, Ended::kBye);
  EXPECT_EQ(b->seen().ends.back().second, Ended::kLocal);
  b.reset();
  pass(seconds(3));
  EXPECT_TRUE(a->seen().dead.empty()) << "who says goodbye needs no proof of death";
}

TEST_F(LinksTest, EndWhenOneSideEndsThem) {
  const auto a = node("a");
  const auto b = node("b");
  join(*a, *b);
  const LinkNumber link = a->links().best("b");
  a->links().end(link);
  EXPECT_FALSE(a->links().send(link, "late"));
  ASSERT_TRUE(in_time([&] { return !a->seen().ends.empty() && !b->seen().ends.empty(); }));
  EXPECT_EQ(a->seen().ends.front().second, Ended::kLocal);
  EXPECT_EQ(b->seen().ends.front().second, Ended::kFin);
  pass(seconds(1));
  EXPECT_TRUE(b->seen().dead.empty()) << "its port still listens";
  EXPECT_TRUE(in_time([&] { return a->has_link_to("b"); })) << "it is dialled again";
}

TEST_F(LinksTest, AreRefusedWhenTheHelloIs) {
  const auto a = node("a");
  const auto b = node("stranger");
  b->links().set_peers({a->address()});
  ASSERT_TRUE(in_time([&] { return a->links().counts().refused >= 1; }));
  EXPECT_TRUE(a->seen().opens.empty());
}

TEST_F(LinksTest, AreRefusedForOneMemberTooMany) {
  LinkOptions few;
  few.members_max = 3;
  const auto a = node("a", few);
  std::vector<std::unique_ptr<Node>> others;
  for (const char* name : {"b", "c", "d"}) {
    others.push_back(node(name));
    others.back()->links().set_peers({a->address()});
    ASSERT_TRUE(in_time([&] { return a->has_link_to(name); }));
  }
  others.push_back(node("e"));
  others.back()->links().set_peers({a->address()});
  ASSERT_TRUE(in_time([&] { return a->links().counts().refused > 0; }));
  EXPECT_FALSE(a->has_link_to("e"));
  EXPECT_EQ(a->seen().turned_away.front(), "e");
  EXPECT_TRUE(a->links().round_trip("b").has_value());
  EXPECT_FALSE(a->links().round_trip("e").has_value());
  others.front().reset();
  EXPECT_TRUE(in_time([&] { return a->has_link_to("e"); })) << "there is room now";
}

TEST_F(LinksTest, HoldSixtyFivePeersAtOnce) {
  const auto a = node("a");
  std::vector<std::unique_ptr<Node>> others;
  for (int i = 0; i < 65; ++i) {
    others.push_back(node("m" + std::to_string(i)));
    others.back()->links().set_peers({a->address()});
  }
  EXPECT_TRUE(in_time([&] { return a->seen().opens.size() == 65; }));
}

TEST_F(LinksTest, EndForAPeerThatDoesNotRead) {
  LinkOptions small;
  small.unsent_max = 100000;
  const auto a = node("a", small);
  const auto b = node("b");
  join(*a, *b);
  int sent = 0;
  while (sent < 10000 && a->send("b", std::string(50000, 'x'))) ++sent;  // the loop does not turn: b reads nothing
  EXPECT_LT(sent, 10000);
  ASSERT_TRUE(in_time([&] { return !a->seen().ends.empty(); }));
  EXPECT_EQ(a->seen().ends.front().second, Ended::kSlow);
  EXPECT_EQ(a->links().counts().slow, 1u);
}

TEST_F(LinksTest, TakeNoFrameThatMayBeLostForAPeerThatDoesNotRead) {
  const auto a = node("a");
  const auto b = node("b");
  join(*a, *b);
  int sent = 0;
  while (sent < 10000 && a->links().offer("b", std::string(100000, 'x'))) ++sent;  // b reads nothing
  ASSERT_LT(sent, 10000);
  EXPECT_FALSE(a->links().offer("b", "one more"));
  EXPECT_TRUE(a->send("b", "a frame that may not be lost"));
  const auto received = [&] { return std::count_if(b->seen().frames.begin(), b->seen().frames.end(), is_large); };
  ASSERT_TRUE(in_time([&] { return b->got("a frame that may not be lost"); })) << "the link goes on";
  EXPECT_EQ(received(), sent);
  EXPECT_FALSE(b->got("one more"));
  EXPECT_TRUE(a->links().offer("b", "later"));
  EXPECT_TRUE(in_time([&] { return b->got("later"); }));
  EXPECT_FALSE(a->links().offer("nobody", "x"));
}

TEST_F(LinksTest, NameTheMembersAtTheirOtherEnds) {
  const auto a = node("a");
  const auto b = node("b");
  EXPECT_TRUE(a->links().members().empty());
  join(*a, *b);
  EXPECT_EQ(a->links().members(), std::vector<std::string>{"b"});
  EXPECT_EQ(a->links().member(a->links().best("b")), "b");
  EXPECT_EQ(a->links().member(12345), "");
}

TEST_F(LinksTest, AreDialledByTheOtherSideToo) {
  const auto a = node("a");
  const auto b = node("b");
  b->links().set_peers({a->address()});
  ASSERT_TRUE(in_time([&] { return a->has_link_to("b"); }));
  b->links().set_peers({});
  pass(seconds(1));
  EXPECT_TRUE(a->has_link_to("b")) << "an open link stays when its address is no peer's any more";
}

TEST_F(LinksTest, ReplaceTheOlderOneWhenAMemberDialsAgain) {
  const auto a = node("a");
  const auto b = node("b");
  b->links().set_peers({a->address()});
  ASSERT_TRUE(in_time([&] { return a->has_link_to("b"); }));
  const LinkNumber first = a->links().best("b");
  const auto twin = node("b");  // the same member, which has lost its link without a word
  twin->links().set_peers({a->address()});
  ASSERT_TRUE(in_time([&] { return a->seen().opens.size() == 2 && !a->seen().ends.empty(); }));
  EXPECT_NE(a->links().best("b"), first);
  EXPECT_EQ(a->seen().ends.front().second, Ended::kReplaced);
}

TEST_F(LinksTest, AreOpenedAgainWhicheverAllocationFails) {
  bool failed = true;
  for (std::size_t served = 0; failed; ++served) {
    ASSERT_LT(served, 1000u);
    const auto a = node("a");
    const auto b = node("b");
    a->links().set_peers({b->address()});
    {
      const router::test::FailingMemory failing(served, 1);
      for (int i = 0; i < 10 && failing.failed() == 0; ++i) turn([] { return false; });
      failed = failing.failed() > 0;
    }
    ASSERT_TRUE(in_time([&] { return a->has_link_to("b") && b->has_link_to("a"); })) << served;
    EXPECT_EQ(a->links_to("b"), 1u) << served;
    EXPECT_TRUE(a->send("b", "frame"));
    EXPECT_TRUE(until([&] { return b->got("frame"); })) << served;
  }
}

TEST_F(LinksTest, MayBeDestroyedInAnyState) {
  const auto a = node("a");
  for (int turns = 0; turns < 60; ++turns) {
    auto b = node("b");
    auto c = node("c");
    b->links().set_peers({a->address(), c->address()});
    c->links().set_peers({a->address(), b->address()});
    for (int i = 0; i < turns; ++i) shard.poll();
    if (turns % 3 == 0) b->links().close();
    if (turns % 3 == 1) b->links().set_peers({});
    if (turns % 3 == 2) b->links().end(b->links().best("a"));
    b.reset();
  }
  pass(seconds(1));
}

TEST_F(LinksTest, CanBeEndedAfterTheirAddressIsNoPeersAnyMore) {
  const auto a = node("a");
  const auto b = node("b");
  a->links().set_peers({b->address()});
  ASSERT_TRUE(in_time([&] { return a->has_link_to("b"); }));
  a->links().set_peers({});
  pass(milliseconds(100));
  a->links().end(a->links().best("b"));
  EXPECT_TRUE(until([&] { return !a->seen().ends.empty(); }));
}

TEST_F(LinksTest, EndWhenTheirOwnerHasNoMemory) {
  const auto a = node("a");
  const auto b = node("b");
  const auto c = node("c");
  a->links().set_peers({b->address(), c->address()});
  ASSERT_TRUE(in_time([&] { return a->has_link_to("b") && a->has_link_to("c"); }));
  EXPECT_TRUE(b->send("a", "throw"));
  ASSERT_TRUE(in_time([&] { return !a->seen().ends.empty(); }));
  EXPECT_EQ(a->seen().ends.front(), std::make_pair(std::string("b"), Ended::kLocal));
  EXPECT_TRUE(a->has_link_to("c"));
  EXPECT_TRUE(in_time([&] { return a->has_link_to("b"); })) << "it is opened again";
  b->seen().forgets_opened = true;
  b->links().end(b->links().best("a"));
  ASSERT_TRUE(in_time([&] { return b->links_to("a") == 0 && b->seen().opens.size() >= 2; }));
  b->seen().forgets_opened = false;
  EXPECT_TRUE(in_time([&] { return a->has_link_to("b") && b->has_link_to("a"); }));
}

}  // namespace
}  // namespace router::fleet_link::test
