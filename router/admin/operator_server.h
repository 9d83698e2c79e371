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
  std::string address;                    // `host:port`, `[v6]:port` or `unix:/path`
  std::size_t connections_max = 64;       // more wait in the kernel's backlog
  std::size_t request_bytes_max = 16384;  // of the head, and of the body
  std::chrono::seconds timeout{10};  // for a request to arrive, idle time before it included; and for its answer to be taken
};

/// An HTTP/1.1 listener for operators, on the control thread. Not the data path: whole requests, whole answers.
class OperatorServer {
 public:
  OperatorServer(runtime::Shard& control, OperatorServerOptions options, std::vector<OperatorRoute> routes);
  OperatorServer(const OperatorServer&) = delete;
  OperatorServer& operator=(const OperatorServer&) = delete;
  ~OperatorServer();

  /// Begins to listen. May be called before the control thread's loop runs. The error names the address.
  absl::Status start(runtime::PortUse use = runtime::PortUse::kMustBeFree);
  /// Another server takes over: accepts what has arrived and closes the listener. Connections end after their next answer, and
  /// within `timeout` without one; until then this must not be destroyed. May be called by a handler, which is still answered.
  void retire();
  /// Closes the listener and every connection. Also called by the destructor; may be called by a handler.
  void stop();

  /// The port that is listened on; 0 for a Unix socket or before `start`.
  std::uint16_t port() const;
  std::size_t connections() const;

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;  // outlives this until its last handler has run
};

}  // namespace router::admin
