#pragma once

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "router/kubernetes/api_client.h"
#include "router/runtime/resolver.h"
#include "tests/support/loopback.h"
#include "tests/support/test_shard.h"

namespace router::kubernetes::test {

using router::test::Descriptor;
using router::test::LoopbackListener;
using router::test::TestShard;
using router::test::turn_until;

/// A request that the API server got, and its connection.
struct Asked {
  std::string method;
  std::string target;
  std::string head;
  std::string body;
  std::shared_ptr<Descriptor> connection;
  TestShard* shard = nullptr;

  bool has(const std::string& text) const { return (head + body).find(text) != std::string::npos; }
  /// Sends all bytes, also those that the socket takes only when the client has read others.
  void send(std::string_view bytes) const {
    EXPECT_TRUE(turn_until(*shard, [&] {
      const ssize_t sent = ::send(connection->get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent > 0) bytes.remove_prefix(static_cast<std::size_t>(sent));
      return bytes.empty() || (sent < 0 && errno != EAGAIN);
    }));
  }
  /// Sends a complete answer.
  void answer(int status, const std::string& text, const std::string& fields = "") const {
    send("HTTP/1.1 " + std::to_string(status) + " Whatever\r\n" + fields + "Content-Length: " + std::to_string(text.size()) +
         "\r\n\r\n" + text);
  }
  /// Sends the head of a watch. Its events follow, in chunks.
  void begin_watch() const { send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"); }
  void chunk(const std::string& bytes) const {
    char size[32];
    std::snprintf(size, sizeof size, "%zx\r\n", bytes.size());
    send(size + bytes + "\r\n");
  }
  void end_watch() const { send("0\r\n\r\n"); }
  void cut() const { connection->close(); }
};

/// An API server on the loopback, over plaintext, whose answers the test gives.
class ApiServer {
 public:
  explicit ApiServer(TestShard& shard) : shard_(shard) {}

  ClusterConfig cluster() const {
    ClusterConfig cluster;
    cluster.host = "127.0.0.1";
    cluster.port = listener_.address().port();
    cluster.uses_tls = false;
    return cluster;
  }

  /// The next request, on any connection.
  Asked next() {
    Asked asked;
    EXPECT_TRUE(turn_until(shard_, [&] { return take(asked); })) << "no request came";
    return asked;
  }
  /// Whether a request arrives without time passing.
  bool is_asked_now() {
    Asked asked;
    for (int turns = 0; turns < 20; ++turns) {
      shard_.poll();
      accept();
      for (auto& connection : connections_) receive(connection);
    }
    return std::any_of(connections_.begin(), connections_.end(), [](const Connection& each) { return !each.bytes.empty(); });
  }
  std::size_t connections() const { return accepted_; }
  void close() { listener_.close(); }
  /// Closes all connections, whose requests stay without an answer.
  void forget() {
    accept();
    connections_.clear();
  }

 private:
  struct Connection {
    std::shared_ptr<Descriptor> descriptor;
    std::string bytes;
  };

  void accept() {
    for (Descriptor accepted; (accepted = listener_.accept());) {
      ++accepted_;
      const int on = 1;  // each piece that a test sends arrives by itself
      ::setsockopt(accepted.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      connections_.push_back({std::make_shared<Descriptor>(std::move(accepted)), ""});
    }
  }
  static void receive(Connection& connection) {
    if (*connection.descriptor) connection.bytes += connection.descriptor->received();
  }
  bool take(Asked& into) {
    accept();
    for (Connection& connection : connections_) {
      receive(connection);
      const std::size_t head = connection.bytes.find("\r\n\r\n");
      if (head == std::string::npos) continue;
      std::size_t length = 0;
      if (const std::size_t field = connection.bytes.find("Content-Length: "); field < head)
        length = std::stoul(connection.bytes.substr(field + 16));
      if (connection.bytes.size() < head + 4 + length) continue;
      into.head = connection.bytes.substr(0, head + 2);
      into.body = connection.bytes.substr(head + 4, length);
      into.method = into.head.substr(0, into.head.find(' '));
      into.target = into.head.substr(into.method.size() + 1);
      into.target.resize(into.target.find(' '));
      into.connection = connection.descriptor;
      into.shard = &shard_;
      connection.bytes.erase(0, head + 4 + length);
      return true;
    }
    return false;
  }

  TestShard& shard_;
  LoopbackListener listener_;
  std::vector<Connection> connections_;
  std::size_t accepted_ = 0;
};

inline std::unique_ptr<ApiClient> make_client(TestShard& shard, runtime::Resolver& resolver, ClusterConfig cluster) {
  auto client = ApiClient::make(shard, resolver, std::move(cluster));
  if (!client.ok()) throw std::runtime_error(std::string(client.status().message()));
  return std::move(*client);
}

/// An object as text: `{"metadata":{"name":…,"resourceVersion":…}}`.
inline std::string object(const std::string& name, const std::string& version) {
  return R"({"metadata":{"name":")" + name + R"(","resourceVersion":")" + version + R"("}})";
}
inline std::string event(const std::string& type, const std::string& object) {
  return R"({"type":")" + type + R"(","object":)" + object + "}\n";
}
inline std::string page(const std::string& version, const std::string& items, const std::string& next = "") {
  return R"({"kind":"List","metadata":{"resourceVersion":")" + version + R"(","continue":")" + next + R"("},"items":[)" +
         items + "]}";
}
inline std::string status(int code, const std::string& message, const std::string& reason = "") {
  return R"({"kind":"Status","status":"Failure","code":)" + std::to_string(code) + R"(,"reason":")" + reason +
         R"(","message":")" + message + R"("})";
}

}  // namespace router::kubernetes::test
