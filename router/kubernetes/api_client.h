#pragma once

#include <absl/status/statusor.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "router/client/client.h"
#include "router/kubernetes/cluster_config.h"
#include "router/kubernetes/credentials.h"
#include "router/runtime/cancellation.h"
#include "router/runtime/resolver.h"

namespace router::kubernetes {

struct ApiRequest {
  std::string method = "GET";
  std::string path;  // with its query
  std::string content_type;
  std::string body;            // empty: none
  Deadline deadline = kNever;  // `request`: of the whole exchange; `open`: of the head; the client's own timeouts apply, too
};

struct ApiAnswer {
  int status = 0;
  std::optional<std::chrono::seconds> retry_after;
  std::string body;

  bool succeeded() const { return status >= 200 && status < 300; }
};

/// The `message` of the Status with which the server refused a request, shortened to one line; empty if there is none.
std::string message_of(const ApiAnswer& answer);

class ApiClient;

/// A request that was sent and whose answer's head has arrived. The caller reads the body as it arrives (client::Exchange).
/// The client outlives it.
class ApiExchange {
 public:
  ApiExchange(ApiClient& client, std::unique_ptr<client::Exchange> exchange, std::string token);
  ApiExchange(const ApiExchange&) = delete;
  ApiExchange& operator=(const ApiExchange&) = delete;

  int status() const { return exchange_->status(); }
  /// The field Retry-After, if it is a number of seconds.
  std::optional<std::chrono::seconds> retry_after() const { return retry_after_; }
  /// For use after a 401: reads the token again. True if it differs from the one that was sent, so that the request can be
  /// repeated at once.
  bool has_newer_token();

  /// Appends the bytes of the body that have arrived. True: at least one byte was appended. False: the body is complete.
  Task<absl::StatusOr<bool>> read(runtime::Cancellation& cancellation, std::string& into, Deadline deadline);
  /// Reads the whole answer. Fails with kResourceExhausted if the body is larger than `bytes_max`.
  Task<absl::StatusOr<ApiAnswer>> read_all(runtime::Cancellation& cancellation, std::size_t bytes_max, Deadline deadline);

 private:
  ApiClient& client_;
  const std::unique_ptr<client::Exchange> exchange_;
  const std::string token_;  // the one that was sent
  const std::optional<std::chrono::seconds> retry_after_;
};

/// A client of one Kubernetes API server: sends requests over HTTP/1.1 and TLS, and keeps connections open for later requests.
/// It does not interpret paths and bodies.
/// A failure of the network is a status whose message names the server and the cause (`API server 10.0.0.1:443: it cannot be
/// reached: Connection refused`). No message contains a secret. Any HTTP status is an answer, not a failure. A cancelled
/// request fails with kCancelled.
/// Control thread. Several coroutines may use it at once; it outlives their requests.
class ApiClient {
 public:
  static constexpr std::chrono::seconds kConnectMax{5};      // look-up, TCP and TLS
  static constexpr std::chrono::seconds kHeadWait{30};       // from the request until the answer's head
  static constexpr std::chrono::seconds kBodyWait{60};       // `request`: from the head until the end of the body
  static constexpr std::size_t kBodyMax = 64 * 1024 * 1024;  // `request`: bytes of an answer
  static constexpr std::size_t kRestingMax = 4;              // idle connections
  static constexpr std::chrono::seconds kRestMax{30};        // a connection that was idle for longer is not used again
  static constexpr std::chrono::seconds kVanishedAfter{30};  // after this a dead connection is detected

  /// Reads the credentials. Fails with `file: what is wrong`. `resolver` outlives the client.
  static absl::StatusOr<std::unique_ptr<ApiClient>> make(runtime::Shard& control, runtime::Resolver& resolver,
                                                         ClusterConfig cluster);

  /// Sends `request` and waits for the whole answer. After a 401 it sends the request once more if the token has changed. A GET
  /// is sent again if the server has closed the idle connection on which it was sent.
  Task<absl::StatusOr<ApiAnswer>> request(runtime::Cancellation& cancellation, ApiRequest request);
  /// Like `request`, but returns when the head of the answer has arrived, and does not try again after a 401.
  Task<absl::StatusOr<std::unique_ptr<ApiExchange>>> open(runtime::Cancellation& cancellation, ApiRequest request);

  /// `API server host:port`.
  const std::string& name() const { return name_; }
  /// The addresses that the last look-up of the server's name found; empty: there was none yet.
  const std::vector<runtime::Address>& addresses() const { return http_.addresses(); }
  /// The namespace of the service account or of the kubeconfig's context; empty: unknown.
  const std::string& namespace_name() const { return cluster_.namespace_name; }
  runtime::Shard& shard() { return http_.shard(); }

 private:
  friend class ApiExchange;
  ApiClient(runtime::Shard& control, runtime::Resolver& resolver, ClusterConfig cluster,
            std::unique_ptr<Credentials> credentials);

  client::Request with_token(ApiRequest request, const std::string& token) const;
  absl::Status explained(const client::Error& error) const;

  const ClusterConfig cluster_;
  const std::string name_;
  const std::unique_ptr<Credentials> credentials_;
  client::Client http_;
};

}  // namespace router::kubernetes
