#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <string_view>
#include <utility>

#include "tests/support/test_shard.h"

namespace router::test {

/// A client of the operators' listeners on the test's own thread. It runs the shard's loop while it waits.
class OperatorClient {
 public:
  OperatorClient(TestShard& shard, std::uint16_t port) : shard_(shard), socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_port = htons(port);
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(socket_, reinterpret_cast<const sockaddr*>(&name), sizeof name) == 0;
    shard_.poll();
  }
  OperatorClient(TestShard& shard, const std::string& path) : shard_(shard), socket_(::socket(AF_UNIX, SOCK_STREAM, 0)) {
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    path.copy(name.sun_path, sizeof name.sun_path - 1);
    connected_ = ::connect(socket_, reinterpret_cast<const sockaddr*>(&name), sizeof name) == 0;
    shard_.poll();
  }
  OperatorClient(const OperatorClient&) = delete;
  OperatorClient& operator=(const OperatorClient&) = delete;
  ~OperatorClient() { ::close(socket_); }

  bool connected() const { return connected_; }

  void send(std::string_view text) {
    while (!text.empty()) {
      const ssize_t sent = ::send(socket_, text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      if (sent > 0) text.remove_prefix(static_cast<std::size_t>(sent));
      if (sent < 0 && errno != EAGAIN) return;
      shard_.poll();
    }
  }

  struct Answer {
    int status = 0;  // 0: there was no answer
    std::string head;
    std::string body;
  };
  /// Reads one answer. `bodiless`: the answer to a HEAD.
  Answer receive(bool bodiless = false) {
    while (true) {
      const std::size_t end = received_.find("\r\n\r\n");
      if (end != std::string::npos) {
        const std::string head = received_.substr(0, end + 2);
        const std::size_t length = bodiless ? 0 : length_of(head);
        if (received_.size() >= end + 4 + length) {
          Answer answer{std::stoi(head.substr(9, 3)), head, received_.substr(end + 4, length)};
          received_.erase(0, end + 4 + length);
          return answer;
        }
      }
      if (!more()) return {};
    }
  }
  Answer ask(std::string_view text) {
    send(text);
    return receive();
  }
  Answer get(const std::string& target) { return ask("GET " + target + " HTTP/1.1\r\nHost: x\r\n\r\n"); }
  Answer post(const std::string& target) { return ask("POST " + target + " HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"); }

  /// Reads until the server closes the connection or sends nothing more.
  std::string receive_all() {
    while (more()) continue;
    return std::exchange(received_, {});
  }

  /// Whether the server has closed the connection without sending anything more.
  bool closed() {
    while (more()) continue;
    return ended_ && received_.empty();
  }

 private:
  static std::size_t length_of(const std::string& head) {
    const std::size_t at = head.find("Content-Length: ");
    return at == std::string::npos ? 0 : std::stoul(head.substr(at + 16));
  }
  bool more() {
    for (int turn = 0; turn < 100; ++turn) {
      shard_.poll();
      char piece[65536];
      const ssize_t got = ::recv(socket_, piece, sizeof piece, MSG_DONTWAIT);
      if (got > 0) {
        received_.append(piece, static_cast<std::size_t>(got));
        return true;
      }
      if (got == 0 || errno != EAGAIN) {
        ended_ = true;
        return false;
      }
    }
    return false;
  }

  TestShard& shard_;
  const int socket_;
  bool connected_ = false;
  bool ended_ = false;
  std::string received_;
};

}  // namespace router::test
