#include "tests/unit/exchange/exchange_world.h"

#include <boost/asio/io_context.hpp>
#include <exception>
#include <utility>

namespace router::test {
namespace {

constexpr const char* kStart = "POST /api/v1/endpoint/iris/score HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer key\r\n";

std::uint64_t count(const metrics::DeploymentMetrics& told, Reason reason, int status) {
  std::uint64_t found = 0;
  told.cells()[0].requests(reason).each(
      [&](int each, std::uint64_t times) { found += status == 0 || each == status ? times : 0; });
  return found;
}

}  // namespace

ExchangeWorld::ExchangeWorld() {
  blue.name = "blue";
  blue.score_path = "/score";
  blue.request_timeout = 5s;
  blue.queue_wait_max = 500ms;
  blue.connect_timeout = 500ms;
  blue.stream_idle_timeout = 60s;
  blue.upload_timeout = 60s;
  blue.abort_wait = 250ms;
  blue.request_bytes_max = 100'000'000;
  shadow = blue;
  shadow.name = "shadow";
  blue.queue = std::make_shared<dispatch::RequestQueue>(dispatch::QueueOptions{}, shard.clock());
  shadow.queue = std::make_shared<dispatch::RequestQueue>(dispatch::QueueOptions{}, shard.clock());
  blue.metrics = metrics.deployment("iris", "blue");
  shadow.metrics = metrics.deployment("iris", "shadow");
}

ExchangeWorld::~ExchangeWorld() {
  end_everything();
  blue.queue->set_replicas({});
  blue.queue->close();
  shadow.queue->set_replicas({});
  shadow.queue->close();
}

void ExchangeWorld::publish(std::uint64_t generation) {
  auto endpoint = std::make_unique<model::Endpoint>();
  endpoint->name = "iris";
  endpoint->status_profile = status_profile;
  endpoint->keys.push_back({key});
  endpoint->metrics = metrics.deployment("iris", "");
  auto deployment = std::make_unique<model::Deployment>(blue);
  auto copied = std::make_unique<model::Deployment>(shadow);
  endpoint->traffic.push_back({100, deployment.get()});
  endpoint->mirror = {mirror_percent, mirror_percent > 0 ? copied.get() : nullptr};
  endpoint->deployments.push_back(std::move(deployment));
  endpoint->deployments.push_back(std::move(copied));
  auto view = std::make_shared<proxy::View>();
  view->generation = view->table.generation = generation;
  view->limits = limits;
  view->via = via;
  view->peers = peers;
  view->table.metrics = metrics.deployment("", "");
  view->table.by_name.emplace("iris", endpoint.get());
  view->table.endpoints.push_back(std::move(endpoint));
  views.publish(view);
  test::poll(shards[0]);
  poll();
}

std::shared_ptr<upstream::Replica> make_replica(const std::string& name, std::size_t slots, std::uint64_t generation) {
  return std::make_shared<upstream::Replica>(upstream::ReplicaOptions{.name = name,
                                                                      .slots = slots,
                                                                      .host = name,
                                                                      .address = *runtime::Address::parse("127.0.0.1", 1),
                                                                      .transport = nullptr,
                                                                      .pod = std::make_shared<dispatch::PodSlots>(1),
                                                                      .generation = generation});
}

std::shared_ptr<upstream::Replica> ExchangeWorld::add_replica(const std::string& name, std::size_t slots,
                                                              std::uint64_t generation) {
  auto replica = make_replica(name, slots, generation);
  replicas_.push_back(replica);
  blue.queue->set_replicas(replicas_);
  for (const std::shared_ptr<dispatch::Replica>& each : replicas_) blue.queue->set_ready(each, true);
  return replica;
}

std::shared_ptr<upstream::Replica> ExchangeWorld::add_shadow(std::size_t slots) {
  auto replica = make_replica("shadow", slots, 1);
  shadows_.push_back(replica);
  shadow.queue->set_replicas(shadows_);
  shadow.queue->set_ready(replica, true);
  return replica;
}

Task<bool> ExchangeWorld::run(Asking& asking) {
  while (!asking.released) co_await asking.wakeup.wait(kNever);
  try {
    asking.begun = true;
    co_await proxy::run_exchange(server, asking.client, asking.wakeup);
  } catch (const std::exception&) {
    asking.thrown = true;
  }
  asking.over = true;
  co_return true;
}

Task<bool> ExchangeWorld::run_refusal(Asking& asking, Failure failure) {
  co_await proxy::refuse_head(server, asking.client, asking.wakeup, failure);
  co_return asking.over = true;
}

std::string ExchangeWorld::head(std::string_view fields) { return std::string(kStart) + std::string(fields) + "\r\n"; }

Asking& ExchangeWorld::refuse_head(Failure failure) {
  Asking& asking = *asking_.emplace_back(std::make_unique<Asking>(shard, head("")));
  shard.start(run_refusal(asking, failure));
  return asking;
}

Asking& ExchangeWorld::begin(std::string head, std::string_view body, bool at_once) {
  Asking& asking = *asking_.emplace_back(std::make_unique<Asking>(shard, std::move(head)));
  asking.client.send(body);
  asking.released = at_once;
  shard.start(run(asking));
  return asking;
}

Asking& ExchangeWorld::ask(std::string_view fields, std::string_view body) { return begin(head(fields), body, true); }
Asking& ExchangeWorld::ask_whole(std::string head) { return begin(std::move(head), "", true); }
Asking& ExchangeWorld::hold(std::string_view fields, std::string_view body) { return begin(head(fields), body, false); }

void ExchangeWorld::go(Asking& asking) {
  asking.released = true;
  asking.wakeup.wake();
  poll();
}

Asking& ExchangeWorld::occupy() {
  Asking& first = ask();
  EXPECT_EQ(slots_in_use(), 1u);
  return first;
}

std::uint64_t ExchangeWorld::told(Reason reason, int status) const {
  std::uint64_t found = count(*blue.metrics, reason, status);
  const model::RoutingTable& table = views.newest()->table;
  found += count(*table.metrics, reason, status);
  for (const auto& endpoint : table.endpoints) found += count(*endpoint->metrics, reason, status);
  return found;
}

std::uint64_t ExchangeWorld::told() const {
  std::uint64_t all = 0;
  for (std::size_t reason = 0; reason < kReasonCount; ++reason) all += told(static_cast<Reason>(reason), 0);
  return all;
}

std::uint64_t ExchangeWorld::mirrored() const {
  std::uint64_t all = 0;
  for (const metrics::Cell& each : shard_cells.mirrored) all += each.value();
  return all;
}

void ExchangeWorld::end_everything() {
  server.close_idle();  // also ends mirroring
  for (const std::unique_ptr<Asking>& each : asking_) each->client.vanish();
  for (const std::shared_ptr<PodConnection>& each : pods.connections) each->close();
  for (int steps = 0; steps < 20; ++steps) advance(1h);
  for (const std::unique_ptr<Asking>& each : asking_) EXPECT_TRUE(each->over);
}

}  // namespace router::test
