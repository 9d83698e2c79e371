#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "router/proxy/http1_downstream.h"
#include "tests/support/served_shard.h"
#include "tests/support/wire.h"

namespace router::proxy {

using namespace std::chrono_literals;
using Next = Http1Downstream::Next;
using Size = stream::BodySize;
using stream::Progress;
using test::Collected;

constexpr std::size_t kMegabyte = 1024 * 1024;

inline std::string request(const std::string& fields = "", const std::string& version = "HTTP/1.1") {
  return "POST /score " + version + "\r\nHost: x\r\n" + fields + "\r\n";
}

/// The client's side of HTTP/1.1 over a socket pair. The test plays the client and the exchange.
class Http1DownstreamTest : public ::testing::Test, protected test::ServedShard {
 protected:
  Http1DownstreamTest() {
    limits.header_timeout = 10s;
    publish();
    server.open_listener(kListener, std::move(runtime::listen_on("127.0.0.1", 0, 1)->front()));
    use(std::make_unique<test::Wire>(shard));
  }
  ~Http1DownstreamTest() override {
    server.close_listeners();
    shard.poll();
  }
  void use(std::unique_ptr<test::Wire> other) {
    downstream.reset();
    wire = std::move(other);
    wire->stream.socket().set_waker(&wakeup);
    downstream.emplace(server, kListener, wire->stream, wakeup, peer);
  }

  using Reading = test::TestShard::Started<Result<Next>>;
  Reading read_head() { return shard.start(downstream->next_head()); }
  void take(const std::string& bytes) {
    wire->far.send(bytes);
    const Result<Next> next = shard.run(downstream->next_head());
    ASSERT_TRUE(next && *next == Next::kRequest);
  }
  void send_continue() {
    http::ResponseHead head;
    head.status = 100;
    head.reason_phrase = "Continue";
    downstream->interim(head);
  }
  /// Answers with this body. Returns what the client receives.
  std::string answer(Size size, std::string_view body = "") {
    downstream->begin_head(200, "OK");
    downstream->end_head(size);
    downstream->body_piece(body);
    downstream->body_end(nullptr);
    EXPECT_TRUE(downstream->flush());
    return wire->far.received();
  }
  /// Whether the answer to this request keeps the connection open and says so.
  bool goes_on_after(const std::string& bytes) {
    take(bytes);
    const bool closes = answer({Size::Kind::kLength, 0}).find("Connection: close") != std::string::npos;
    for (Collected rest; !downstream->request_received();) {
      if (const Result<Progress> read = downstream->read_body(rest); !read || *read == Progress::kBlocked) break;
    }
    return !closes;
  }
  void leave() { wire->far.close(); }

  runtime::Wakeup wakeup{shard};
  const Peer peer{"127.0.0.1", false, false};
  std::unique_ptr<test::Wire> wire;
  std::optional<Http1Downstream> downstream;
};

}  // namespace router::proxy
