#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "router/admin/operator_server.h"
#include "tests/unit/admin/operator_client.h"

namespace router::admin {

using test::OperatorClient;

/// A server with one route for every kind of answer.
class OperatorServerTest : public testing::Test {
 protected:
  std::vector<OperatorRoute> routes() {
    return {{"GET", "/hello",
             [](const Request& request) {
               return Response{200, "text/plain", "hello " + std::string(request.query)};
             }},
            {"POST", "/echo",
             [](const Request& request) {
               return Response{200, "text/plain", std::string(request.body)};
             }},
            {"GET", "/large",
             [](const Request&) {
               return Response{200, "text/plain", std::string(20'000'000, 'x')};
             }},
            {"GET", "/pieces",
             [this](const Request&) {
               return Response{200, "text/plain", {}, [this, left = pieces_there](std::string& text) mutable {
                                 ++pieces_made;
                                 text += std::string(30'000, 'y');
                                 return --left > 0;
                               }};
             }},
            {"GET", "/empty-pieces",
             [](const Request&) {
               return Response{200, "text/plain", {}, [left = 3](std::string& text) mutable {
                                 if (left == 2) text += "only";
                                 return --left > 0;
                               }};
             }},
            {"GET", "/bug-in-pieces",
             [](const Request&) {
               return Response{200, "text/plain", {}, [](std::string&) -> bool { throw std::runtime_error("secret detail"); }};
             }},
            {"GET", "/bug", [](const Request&) -> Response { throw std::runtime_error("secret detail"); }},
            {"POST", "/stop",
             [this](const Request&) {
               server->stop();
               return Response{200, "text/plain", "bye"};
             }},
            {"POST", "/retire", [this](const Request&) {
               server->retire();
               return Response{200, "text/plain", "moved"};
             }}};
  }
  void listen(OperatorServerOptions options = {.address = "127.0.0.1:0"}) {
    server = std::make_unique<OperatorServer>(shard, options, routes());
    const absl::Status started = server->start();
    ASSERT_TRUE(started.ok()) << started;
  }
  OperatorClient connect() { return OperatorClient(shard, server->port()); }

  test::TestShard shard;
  int pieces_there = 3;
  int pieces_made = 0;
  std::unique_ptr<OperatorServer> server;
};

}  // namespace router::admin
