#pragma once

#include <absl/status/statusor.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "router/kubernetes/api_connection.h"
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

/// A request that was sent and whose answer's head has come: its body is read as it arrives. The client outlives it. Its end
/// gives the connection back if the body was read to its end, and closes it otherwise.
class ApiExchange {
 public:
  ApiExchange(ApiClient& client, std::unique_ptr<ApiConnection> connection, std::string token, ApiHead head)
      : client_(client), connection_(std::move(connection)), token_(std::move(token)), head_(head) {}
  ApiExchange(const ApiExchange&) = delete;
  ApiExchange& operator=(const ApiExchange&) = delete;

  int status() const { return head_.status; }
  std::optional<std::chrono::seconds> retry_after() const { return head_.retry_after; }
  /// After a 401: whether there is another token than the one that was sent, so that it is worth trying again at once. Reads it
  /// again.
  bool has_newer_token();

  /// Appends what has arrived of the body, at least one byte: true; false: it is complete.
  Task<absl::StatusOr<bool>> read(runtime::Cancellation& cancellation, std::string& into, Deadline deadline);
  /// The whole answer. Fails with kResourceExhausted beyond `bytes_max`.
  Task<absl::StatusOr<ApiAnswer>> read_all(runtime::Cancellation& cancellation, std::size_t bytes_max, Deadline deadline);

 private:
  ApiClient& client_;
  std::unique_ptr<ApiConnection> connection_;  // nullptr: given back or broken
  const std::string token_;                    // that was sent
  const ApiHead head_;
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
  const std::vector<runtime::Address>& addresses() const { return addresses_; }
  /// The namespace of the service account or of the context; empty: unknown.
  const std::string& home() const { return cluster_.home; }
  runtime::Shard& shard() { return control_; }

 private:
  friend class ApiExchange;
  ApiClient(runtime::Shard& control, runtime::Resolver& resolver, ClusterConfig cluster,
            std::unique_ptr<Credentials> credentials);

  Task<absl::StatusOr<std::unique_ptr<ApiConnection>>> connect(runtime::Cancellation& cancellation, Deadline deadline);
  Task<absl::StatusOr<std::vector<runtime::Address>>> look_up(runtime::Cancellation& cancellation, Deadline deadline);
  /// One that rests and can still be used, or nullptr.
  std::unique_ptr<ApiConnection> take_resting(runtime::Cancellation& cancellation);
  void give_back(std::unique_ptr<ApiConnection> connection);
  void write(const ApiRequest& request, const std::string& token, wire::MessageOutput& output) const;
  absl::Status explained(const absl::Status& status) const;

  runtime::Shard& control_;
  runtime::Resolver& resolver_;
  const ClusterConfig cluster_;
  const std::string name_;
  const std::unique_ptr<Credentials> credentials_;
  std::vector<runtime::Address> addresses_;
  std::vector<std::unique_ptr<ApiConnection>> resting_;
};

}  // namespace router::kubernetes
