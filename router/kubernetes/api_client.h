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
  Deadline deadline = kNever;  // for all of it, beside the client's own timeouts
};

struct ApiAnswer {
  int status = 0;
  std::optional<std::chrono::seconds> retry_after;
  std::string body;

  bool succeeded() const { return status >= 200 && status < 300; }
};

/// The server's own words about what it refused (`message` of its Status), on one line and short; empty if there are none.
std::string message_of(const ApiAnswer& answer);

class ApiClient;

/// A request that was sent and whose answer's head has come: its body is read as it arrives (client::Exchange). The client
/// outlives it.
class ApiExchange {
 public:
  ApiExchange(ApiClient& client, std::unique_ptr<client::Exchange> exchange, std::string token);
  ApiExchange(const ApiExchange&) = delete;
  ApiExchange& operator=(const ApiExchange&) = delete;

  int status() const { return exchange_->status(); }
  /// Only as a number of seconds.
  std::optional<std::chrono::seconds> retry_after() const { return retry_after_; }
  /// After a 401: whether there is another token than the one that was sent, so that it is worth trying again at once. Reads it
  /// again.
  bool has_newer_token();

  /// Appends what has arrived of the body, at least one byte: true; false: it is complete.
  Task<absl::StatusOr<bool>> read(runtime::Cancellation& cancellation, std::string& into, Deadline deadline);
  /// The whole answer. Fails with kResourceExhausted beyond `bytes_max`.
  Task<absl::StatusOr<ApiAnswer>> read_all(runtime::Cancellation& cancellation, std::size_t bytes_max, Deadline deadline);

 private:
  ApiClient& client_;
  const std::unique_ptr<client::Exchange> exchange_;
  const std::string token_;  // that was sent
  const std::optional<std::chrono::seconds> retry_after_;
};

/// A client of one Kubernetes API server: requests over HTTP/1.1 with our own TLS, connections kept open and used again. It
/// knows paths and bodies, and nothing of what they mean.
/// What fails on the way is a status whose message names the server and says what failed (`API server 10.0.0.1:443: it cannot
/// be reached: Connection refused`); no message holds anything secret. Any HTTP status is an answer. kCancelled: it was
/// cancelled.
/// Control thread. Several coroutines may use it at once; it outlives their requests.
class ApiClient {
 public:
  static constexpr std::chrono::seconds kConnectMax{5};      // look-up, TCP and TLS
  static constexpr std::chrono::seconds kHeadWait{30};       // from the request until the answer's head
  static constexpr std::chrono::seconds kBodyWait{60};       // `request`: from there until its end
  static constexpr std::size_t kBodyMax = 64 * 1024 * 1024;  // `request`: bytes of an answer
  static constexpr std::size_t kRestingMax = 4;              // connections
  static constexpr std::chrono::seconds kRestMax{30};        // then they are not used any more
  static constexpr std::chrono::seconds kVanishedAfter{30};  // a server that has gone without a word is noticed

  /// Reads the credentials. Fails with `file: what is wrong`. `resolver` outlives the client.
  static absl::StatusOr<std::unique_ptr<ApiClient>> make(runtime::Shard& control, runtime::Resolver& resolver,
                                                         ClusterConfig cluster);

  /// Sends `request` and waits for all of its answer. Of a 401 with an older token it tries once more with the newer one. A GET
  /// is tried again if a connection that had rested turns out to have ended.
  Task<absl::StatusOr<ApiAnswer>> request(runtime::Cancellation& cancellation, ApiRequest request);
  /// The same until the answer's head, without trying again after a 401.
  Task<absl::StatusOr<std::unique_ptr<ApiExchange>>> open(runtime::Cancellation& cancellation, ApiRequest request);

  /// `API server host:port`.
  const std::string& name() const { return name_; }
  /// At which it was reached for last; empty: not yet.
  const std::vector<runtime::Address>& addresses() const { return http_.addresses(); }
  /// The namespace of the service account or of the context; empty: unknown.
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
