#include "router/fleet_link/prober.h"

#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

#include <array>
#include <cstring>
#include <memory>
#include <optional>

#include "tests/unit/fleet_link/node.h"

namespace router::fleet_link::test {
namespace {

/// Answers a SYN with an ICMP message "port unreachable", as a packet filter that rejects does. The connecting socket reports
/// it as ECONNREFUSED. Needs CAP_NET_RAW.
class Rejecter {
 public:
  bool works() const { return tcp_.get() >= 0 && icmp_.get() >= 0; }
  /// Waits for a SYN to `port` that comes after this object was made.
  bool reject(std::uint16_t port) const {
    pollfd ask{tcp_.get(), POLLIN, 0};
    std::array<char, 2048> packet;
    while (::poll(&ask, 1, 2000) > 0) {
      const ssize_t got = ::recv(tcp_.get(), packet.data(), packet.size(), 0);
      if (got >= kQuoted && is_syn_to(packet.data(), port)) return answer(packet.data());
    }
    return false;
  }

 private:
  static constexpr ssize_t kIp = 20;
  static constexpr ssize_t kQuoted = kIp + 20;

  static bool is_syn_to(const char* packet, std::uint16_t port) {
    tcphdr header;
    std::memcpy(&header, packet + kIp, sizeof header);
    return header.dest == htons(port) && header.syn == 1 && header.ack == 0;
  }
  bool answer(const char* packet) const {
    std::array<unsigned char, 8 + kQuoted> message{ICMP_DEST_UNREACH, ICMP_PORT_UNREACH};
    std::memcpy(message.data() + 8, packet, kQuoted);
    std::uint32_t sum = 0;
    for (std::size_t i = 0; i < message.size(); i += 2) sum += static_cast<std::uint32_t>(message[i] << 8 | message[i + 1]);
    while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
    message[2] = static_cast<unsigned char>(~sum >> 8);
    message[3] = static_cast<unsigned char>(~sum);
    const Address to = loopback(0);
    return ::sendto(icmp_.get(), message.data(), message.size(), 0, to.get(), to.length()) > 0;
  }

  Descriptor tcp_{::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_TCP)};
  Descriptor icmp_{::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP)};
};

class ProberTest : public FleetTest {
 protected:
  auto knock_at(const Address& address) { return shard.start(knock(*life, address, shard.now() + milliseconds(200))); }
  auto prove(const Address& address) { return shard.start(prove_dead(*life, address, {})); }
  Address closed_port() const {
    LoopbackListener gone;
    const Address address = gone.address();
    gone.close();
    return address;
  }
  std::shared_ptr<runtime::CancelSource> life = runtime::CancelSource::make(shard);
};

TEST_F(ProberTest, TellsARefusalFromAnAnswerAndFromSilence) {
  const auto refused = knock_at(closed_port());
  ASSERT_TRUE(in_time([&] { return refused.done(); }));
  EXPECT_EQ(refused.peek(), Knock::kRefused);
  const LoopbackListener listener;
  const auto accepted = knock_at(listener.address());
  ASSERT_TRUE(in_time([&] { return accepted.done(); }));
  EXPECT_EQ(accepted.peek(), Knock::kAccepted);
  const SilentListener mute;
  const auto silent = knock_at(mute.address());
  ASSERT_TRUE(in_time([&] { return silent.done(); }));
  EXPECT_EQ(silent.peek(), Knock::kUnrelated);
}

/// In a network of this process alone, where it may use raw sockets without being root.
bool enter_own_network() {
  if (::unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) return false;
  const Descriptor any(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq loopback{};
  std::strcpy(loopback.ifr_name, "lo");
  loopback.ifr_flags = IFF_UP;
  return ::ioctl(any.get(), SIOCSIFFLAGS, &loopback) == 0;
}

class ProberBesideAFilter : public ProberTest {
 protected:
  void expect_unrelated();
};

void ProberBesideAFilter::expect_unrelated() {
  const SilentListener mute;
  const Rejecter rejecter;
  ASSERT_TRUE(rejecter.works());
  const TimePoint begun = shard.now();
  const auto rejected = knock_at(mute.address());
  ASSERT_TRUE(rejecter.reject(mute.address().port()));
  ASSERT_TRUE(until([&] { return rejected.done(); })) << "the message has ended the attempt";
  EXPECT_EQ(shard.now(), begun);
  EXPECT_EQ(rejected.peek(), Knock::kUnrelated);
}

TEST_F(ProberBesideAFilter, TakesNoIcmpMessageForARefusal) {
  if (Rejecter().works()) return expect_unrelated();
  const pid_t child = ::fork();
  if (child == 0) {
    if (!enter_own_network()) ADD_FAILURE() << "raw sockets need root, or user namespaces";
    if (!HasFailure()) expect_unrelated();
    ::_exit(HasFailure() ? 1 : 0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST_F(ProberTest, NeedsTwoRefusalsSomeTimeApart) {
  const TimePoint begun = shard.now();
  auto proof = prove(closed_port());
  ASSERT_TRUE(in_time([&] { return proof.done(); }));
  EXPECT_TRUE(proof.get());
  EXPECT_GE(shard.now() - begun, milliseconds(20));
  EXPECT_LE(shard.now() - begun, milliseconds(100));
}

TEST_F(ProberTest, GivesUpOnAnAddressThatAnswers) {
  const LoopbackListener mesh;
  const TimePoint begun = shard.now();
  auto proof = prove(mesh.address());
  ASSERT_TRUE(in_time([&] { return proof.done(); }));
  EXPECT_FALSE(proof.get());
  EXPECT_GE(shard.now() - begun, seconds(2));
}

TEST_F(ProberTest, GivesUpOnAnAddressThatIsSilent) {
  const SilentListener mute;
  auto proof = prove(mute.address());
  ASSERT_TRUE(in_time([&] { return proof.done(); }));
  EXPECT_FALSE(proof.get());
}

TEST_F(ProberTest, GoesOnTryingWhileTheProcessStillDies) {
  LoopbackListener dying;
  auto proof = prove(dying.address());
  pass(milliseconds(300));
  ASSERT_FALSE(proof.done());
  dying.close();
  ASSERT_TRUE(in_time([&] { return proof.done(); }, milliseconds(200)));
  EXPECT_TRUE(proof.get());
}

TEST_F(ProberTest, LinksProveTheDeathOfAMemberThatWasReached) {
  const auto a = node("a");
  auto b = node("b");
  join(*a, *b);
  ASSERT_TRUE(in_time([&] { return a->links_to("b") == 2; }));
  b.reset();
  ASSERT_TRUE(in_time([&] { return !a->seen().dead.empty(); }, milliseconds(500)));
  EXPECT_EQ(a->seen().dead, std::vector<std::string>{"b"});
  pass(seconds(3));
  EXPECT_EQ(a->links().counts().proven_dead, 1u) << "once";
}

TEST_F(ProberTest, LinksProveNothingAboutAMemberThatTheyHaveNeverReached) {
  const auto a = node("a");
  auto b = node("b");
  b->links().set_peers({a->address()});
  ASSERT_TRUE(in_time([&] { return a->has_link_to("b"); }));
  b.reset();
  ASSERT_TRUE(in_time([&] { return !a->has_link_to("b"); }));
  pass(seconds(3));
  EXPECT_TRUE(a->seen().dead.empty()) << "nobody knows whether it ever listened at the address that it tells";
}

TEST_F(ProberTest, LinksDoNotTrustRefusalsIfToldSo) {
  LinkOptions wary;
  wary.trust_refused = false;
  const auto a = node("a", wary);
  auto b = node("b");
  join(*a, *b);
  b.reset();
  ASSERT_TRUE(in_time([&] { return !a->has_link_to("b"); }));
  pass(seconds(3));
  EXPECT_TRUE(a->seen().dead.empty());
}

TEST_F(ProberTest, LinksProveNothingWhenAMeshAcceptsInTheNameOfTheDead) {
  const auto a = node("a");
  auto b = node("b");
  join(*a, *b);
  ASSERT_TRUE(in_time([&] { return a->links_to("b") == 2; }));
  const std::uint16_t port = b->port().port();
  b.reset();
  const auto mesh = runtime::listen_on("127.0.0.1", port, 1).value();
  ASSERT_TRUE(in_time([&] { return !a->has_link_to("b"); }));
  pass(seconds(3));
  EXPECT_TRUE(a->seen().dead.empty());
}

TEST_F(ProberTest, LinksProveNothingAfterAnEndOfTheirOwn) {
  const auto a = node("a");
  auto b = node("b");
  a->links().set_peers({b->address()});
  ASSERT_TRUE(in_time([&] { return a->has_link_to("b"); }));
  b->port().close();
  a->links().end(a->links().best("b"));
  ASSERT_TRUE(in_time([&] { return a->links_to("b") == 0; }));
  pass(seconds(3));
  EXPECT_TRUE(a->seen().dead.empty());
}

}  // namespace
}  // namespace router::fleet_link::test
