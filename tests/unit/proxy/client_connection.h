#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "router/proxy/connection.h"
#include "tests/support/loopback.h"
#include "tests/support/served_shard.h"

namespace router::proxy {

using namespace std::chrono_literals;

/// A request that the router answers itself.
constexpr const char* kAsk = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";

/// Client connections over socket pairs, each served by `serve_connection`. All of them must have ended when the test ends.
class ClientConnectionTest : public ::testing::Test, protected test::ServedShard {
 protected:
  struct Connection {
    test::Descriptor far;
    test::TestShard::Started<bool> served;
    bool open() const { return !served.done() && !far.at_end(); }
  };

  ClientConnectionTest() {
    limits.keep_alive_timeout = 60s;
    limits.header_timeout = 10s;
  }
  ~ClientConnectionTest() override {
    server.close_listeners();
    client.far.close();
    others.clear();
    shard.poll();
    EXPECT_TRUE(client.served.done()) << "a connection outlives its client";
    EXPECT_EQ(connections.open(), 0u);
    EXPECT_EQ(cells.connections_active.value(), 0u);
    EXPECT_EQ(server.refused(), 0u);
  }

  /// The first connection of the test. It opens a listener, because without one each answer ends the connection.
  void connect() {
    if (!server.view()) publish();
    server.open_listener(kListener, std::move(runtime::listen_on("127.0.0.1", 0, 1)->front()));
    client = accept();
  }
  /// Another connection. It ends with the test.
  Connection& another() { return *others.emplace_back(std::make_unique<Connection>(accept())); }
  Connection accept(const char* address = "127.0.0.1") {
    std::array<int, 2> ends{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
    test::Descriptor far(ends[0]);
    return {std::move(far), shard.start(serve(ends[1], address))};
  }
  Task<bool> serve(int descriptor, std::string address) {
    co_await serve_connection(server, kListener, runtime::Socket(shard, descriptor), *runtime::Address::parse(address, 1));
    co_return true;
  }

  void send(std::string_view bytes) { send(client, bytes); }
  void send(const Connection& to, std::string_view bytes) {
    to.far.send(bytes);
    shard.poll();
  }
  /// The first client sends no more.
  void half_close() {
    ::shutdown(client.far.get(), SHUT_WR);
    shard.poll();
  }
  /// The number of answers with this status since the last call.
  std::size_t answers(const std::string& status = "200") { return answers(client, status); }
  static std::size_t answers(const Connection& to, const std::string& status = "200") {
    const std::string all = to.far.received();
    const std::string line = "HTTP/1.1 " + status;
    std::size_t count = 0;
    for (std::size_t at = 0; (at = all.find(line, at)) != std::string::npos; at += line.size()) ++count;
    return count;
  }
  bool open() const { return client.open(); }

  Connection client;
  std::vector<std::unique_ptr<Connection>> others;
};

}  // namespace router::proxy
