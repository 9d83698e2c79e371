#include <pthread.h>

#include <array>
#include <future>
#include <string>

#include "router/fleet_link/boot_alarm.h"
#include "router/runtime/shard_set.h"
#include "tests/support/run_on.h"
#include "tests/unit/fleet_link/node.h"

namespace router::fleet_link::test {
namespace {

/// Passes on what a test on another thread waits for.
struct Signals final : LinkEvents {
  explicit Signals(std::string own) : name(std::move(own)) {}
  std::string hello() override { return name; }
  std::optional<std::string> member_of(std::string_view hello) override { return std::string(hello); }
  void opened(LinkNumber link, const std::string&, std::string_view) override { links->send(link, "from " + name); }
  void frame(LinkNumber, std::string_view bytes) override {
    if (!std::exchange(told, true)) first.set_value(std::string(bytes));
  }
  void ended(LinkNumber, Ended) noexcept override {}
  void proven_dead(const std::string& member) override { dead.set_value(member); }
  void refused(const std::string&) override {}
  void unreachable(const Address&, const char*, int) override {}

  const std::string name;
  Links* links = nullptr;
  bool told = false;
  std::promise<std::string> first;
  std::promise<std::string> dead;
};

/// A member with a thread of its own, as in the router: what belongs to the thread is made before it starts.
struct Threaded {
  Threaded(const Clock& clock, const std::string& name) : events(name), thread(1, clock, "fleet") {
    links = std::make_unique<Links>(thread[0], events, name);
    events.links = links.get();
    EXPECT_TRUE(links->replace_keys(keys()).ok());
    port = std::make_unique<FleetPort>(
        thread[0], std::move(runtime::listen_on("127.0.0.1", 0, 1).value().front()),
        [this](Newcomer newcomer) { links->accept(std::move(newcomer)); }, [](runtime::Descriptor, const Address&) {});
    thread.start();
  }
  ~Threaded() {
    thread.join();
    thread.close();
  }
  Signals events;
  runtime::ShardSet thread;
  std::unique_ptr<Links> links;
  std::unique_ptr<FleetPort> port;
};

TEST(FleetThread, CarriesFramesAndProvesADeathBesideOtherThreads) {
  const SteadyClock clock;
  Threaded a(clock, "a");
  auto b = std::make_unique<Threaded>(clock, "b");
  const std::vector<Address> peers{loopback(a.port->port()), loopback(b->port->port())};
  for (Threaded* each : {&a, b.get()}) {
    router::test::run_on(each->thread[0], [&] { each->links->set_peers(peers); });
  }
  EXPECT_EQ(a.events.first.get_future().get(), "from b");
  EXPECT_EQ(b->events.first.get_future().get(), "from a");
  // Until a has reached b itself, it could not prove anything.
  std::size_t links = 0;
  while (links < 2) router::test::run_on(a.thread[0], [&] { links = a.links->counts().opened; });
  b.reset();
  EXPECT_EQ(a.events.dead.get_future().get(), "b");
}

TEST(FleetThread, HasItsName) {
  const SteadyClock clock;
  runtime::ShardSet thread(1, clock, "fleet");
  thread.start();
  std::array<char, 16> name{};
  router::test::run_on(thread[0], [&] { pthread_getname_np(pthread_self(), name.data(), name.size()); });
  EXPECT_STREQ(name.data(), "fleet-0");
}

}  // namespace
}  // namespace router::fleet_link::test
