#pragma once

#include <absl/status/status.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "router/admin/operator_route.h"
#include "router/runtime/accept.h"
#include "router/runtime/shard.h"

namespace router::admin {

struct OperatorServerOptions {
  std::string address;                           // `host:port`, `[v6]:port` or `unix:/path`
  std::size_t connections_max = 1024;            // beyond, the one that has waited longest for its head is closed
  std::size_t request_bytes_max = 16384;         // of the head, and of the body
  std::chrono::milliseconds head_timeout{2000};  // from accept, or a later request's first byte, to the end of the head
  std::chrono::seconds timeout{10};              // for the next request to begin; for a body; for the answer to be read
  std::size_t scrapes_max = 32;                  // answers in pieces at once; beyond: 503, or one that is not read is cut
  std::chrono::seconds scrape_timeout{30};       // for an answer in pieces to be made and read
  bool checks_host = false;                      // refuse what a web page may have sent: own_host.h
};

/// An HTTP/1.1 listener for operators, on the control thread. Not for the data path: it reads whole requests.
class OperatorServer {
 public:
  OperatorServer(runtime::Shard& control, OperatorServerOptions options, std::vector<OperatorRoute> routes);
  OperatorServer(const OperatorServer&) = delete;
  OperatorServer& operator=(const OperatorServer&) = delete;
  ~OperatorServer();

  /// Starts to listen. May be called before the control thread's loop runs. The error names the address.
  absl::Status start(runtime::PortUse use = runtime::PortUse::kMustBeFree);
  /// Ends this server, since another one takes over: accepts what has arrived and closes the listener. Connections end after
  /// their next answer, or after `timeout` without a request; until then this must not be destroyed. A handler may call it,
  /// and its request is still answered.
  void retire();
  /// Closes the listener and every connection. The destructor calls it; a handler may call it, too.
  void stop();

  /// The listener's port; 0 for a Unix socket or before `start`.
  std::uint16_t port() const;
  std::size_t connections() const;

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;  // outlives this until its last handler has run
};

}  // namespace router::admin
