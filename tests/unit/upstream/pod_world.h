#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "router/dispatch/request_queue.h"
#include "router/upstream/connection.h"
#include "router/upstream/exchange.h"
#include "router/upstream/replica.h"
#include "tests/support/loopback.h"
#include "tests/support/test_shard.h"

namespace router::upstream {

using std::chrono::milliseconds;

/// The client of a request, which stays until it has left.
class Client final : public stream::Cancellation {
 public:
  bool left = false;
  Duration looks_each = Duration::max();  // when the task looks for it without a wake-up
  Result<void> still_wanted() override {
    if (left) return Failure::downstream(Reason::kClientClosed, "the client left");
    return {};
  }
  Result<void> may_take_slot() const override { return {}; }
  Deadline ask_again(TimePoint now) const override { return deadline_after(now, looks_each); }
};

using Opened = Result<std::unique_ptr<UpstreamExchange>>;

/// The pod at `address` as a replica of a deployment, for two shards.
inline std::shared_ptr<Replica> make_replica(const runtime::Address& address, std::shared_ptr<const Transport> transport,
                                             std::size_t slots, std::shared_ptr<dispatch::PodSlots> pod) {
  return std::make_shared<Replica>(ReplicaOptions{.name = "pod:1",
                                                  .slots = slots,
                                                  .host = "localhost",
                                                  .address = address,
                                                  .transport = std::move(transport),
                                                  .pod = std::move(pod),
                                                  .shards = 2});
}

/// A pod, and two shards that send requests to it.
struct PodWorld {
  /// A pod with this number of slots; 0: without limit.
  explicit PodWorld(std::size_t slots = 1) {
    serve_from(pod.address(), nullptr, slots);
    options.connect_timeout = milliseconds(500);
    options.abort_wait = milliseconds(250);
    options.cells = &cells;
  }

  /// From now on the pod is at `address`, and the router connects to it over `transport`.
  void serve_from(const runtime::Address& address, std::shared_ptr<const Transport> transport, std::size_t slots = 1) {
    replica = make_replica(address, std::move(transport), slots, std::make_shared<dispatch::PodSlots>());
    queue->set_replicas({replica});
    queue->set_ready(replica, true);
  }

  /// A request that opens a connection, on one of the shards.
  struct Request {
    explicit Request(test::TestShard& on) : shard(on), wakeup(on.shard()) {}
    test::TestShard& shard;
    runtime::Wakeup wakeup;
    Client client;
    dispatch::HeldSlot held_slot;
    std::optional<test::TestShard::Started<Opened>> opening;
    std::unique_ptr<UpstreamExchange> exchange;

    bool open() {
      if (exchange == nullptr && opening->done()) {
        Opened opened = opening->get();
        if (opened) exchange = std::move(*opened);
      }
      return exchange != nullptr;
    }
    /// Ends the exchange and gives the slot back, as an attempt does.
    void end(Leaving how) {
      exchange->leave(how);
      exchange.reset();
      held_slot.give_back();
    }
    /// The failure of the opening.
    Failure failure() {
      EXPECT_TRUE(opening->done()) << "the opening still waits";
      return opening->done() ? opening->get().error() : Failure{};
    }
    void leave() {
      client.left = true;
      wakeup.wake();
      shard.poll();
    }
  };

  std::unique_ptr<Request> send(test::TestShard& shard) { return send(shard, *queue); }
  std::unique_ptr<Request> send(test::TestShard& shard, dispatch::RequestQueue& to) {
    auto request = std::make_unique<Request>(shard);
    Result<dispatch::RequestQueue::Entry> entry = to.enter(request->wakeup);
    EXPECT_TRUE(entry && entry->held_slot) << "the slot is held";
    request->held_slot = std::move(entry->held_slot);
    request->opening.emplace(shard.start(upstream::open(request->held_slot, options, request->wakeup, request->client)));
    return request;
  }

  /// Accepts the next connection on the pod's side, if there is one.
  test::Descriptor accept(test::TestShard& shard) {
    test::Descriptor accepted;
    test::turn_until(shard, [&] { return accepted || (accepted = pod.accept()); });
    return accepted;
  }
  bool nobody_connects() const { return !pod.accept(); }

  /// Sends the request over `connection`, answers it and finishes the exchange.
  static void answer(Request& request, const test::Descriptor& connection, int status = 200) {
    exchange(request, connection, status);
    request.end(Leaving::kReusable);
  }
  /// Like `answer`, but the exchange is not finished.
  static void exchange(Request& request, const test::Descriptor& connection, int status = 200) {
    ask(request, connection);
    connection.send("HTTP/1.1 " + std::to_string(status) + " Fine\r\nContent-Length: 0\r\n\r\n");
    const Result<const http::ResponseHead*> head = next_head(request);
    EXPECT_TRUE(head && *head != nullptr);
  }
  /// Sends the request and lets the pod read it.
  static void ask(Request& request, const test::Descriptor& connection) {
    send_request(request);
    EXPECT_TRUE(test::turn_until(request.shard, [&] { return !connection.received().empty(); }));
  }
  static void send_request(Request& request) {
    ASSERT_TRUE(test::turn_until(request.shard, [&] { return request.open(); }));
    UpstreamExchange& exchange = *request.exchange;
    exchange.begin_head("POST", "/score", "", "");
    exchange.end_head({});
    exchange.body_end(nullptr);
    ASSERT_TRUE(exchange.flush());
  }
  /// The result of the answer: a head, or its failure.
  static Result<const http::ResponseHead*> next_head(Request& request) {
    Result<const http::ResponseHead*> head = nullptr;
    EXPECT_TRUE(test::turn_until(request.shard, [&] {
      head = request.exchange->response_head();
      return !head || *head != nullptr;
    }));
    return head;
  }
  /// The result of reading the body: kEnded, or its failure.
  static Result<stream::Progress> read_body(Request& request, stream::BodySink& sink) {
    Result<stream::Progress> read = stream::Progress::kBlocked;
    EXPECT_TRUE(test::turn_until(request.shard, [&] {
      read = request.exchange->read_body(sink);
      return !read || *read == stream::Progress::kEnded;
    }));
    return read;
  }

  /// Opens the first connection, and answers one request over it.
  test::Descriptor first(int status = 200) {
    auto request = send(here);
    test::Descriptor connection = accept(here);
    answer(*request, connection, status);
    return connection;
  }
  /// Makes the router trust the replica to keep its connections.
  void earn_trust(const test::Descriptor& connection) {
    for (int times = 0; times < ClosingHabit::kProofs; ++times) {
      here.advance(milliseconds(10));
      auto request = send(here);
      answer(*request, connection);
    }
    ASSERT_TRUE(replica->habits()->on(0).keeps());
  }
  std::size_t slots_in_use() const { return queue->demand().slots_in_use; }
  std::uint64_t fresh(metrics::FreshReason reason) const { return cells.fresh_connections(reason); }

  test::TestShard here{0};
  test::TestShard there{1};
  test::LoopbackListener pod;
  metrics::DeploymentCells cells;
  OpenOptions options;
  std::shared_ptr<dispatch::RequestQueue> queue =
      std::make_shared<dispatch::RequestQueue>(dispatch::QueueOptions{}, here.clock());
  std::shared_ptr<Replica> replica;
};

}  // namespace router::upstream
