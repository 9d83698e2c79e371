#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "router/base/log_deduplicator.h"
#include "router/base/time.h"
#include "router/kubernetes/cluster_config.h"
#include "tls/context.h"

namespace router::kubernetes {

/// The router's credentials for an API server (token, client certificate), and the authorities that verify the server. Files
/// are read again at most once in kReadAgain, because tokens of service accounts rotate and the other files may change. If a
/// file cannot be read or used, that is logged once and the last usable content stays in use. Blocks while it reads files:
/// control thread.
class Credentials {
 public:
  static constexpr std::chrono::minutes kReadAgain{1};

  /// Reads everything. Fails with `file: what is wrong`.
  static absl::StatusOr<std::unique_ptr<Credentials>> make(ClusterConfig cluster, const Clock& clock);

  /// Empty if there is none. Valid until the next call.
  const std::string& token();
  /// For a new connection; nullptr: plaintext.
  std::shared_ptr<tls::ClientContext> tls();
  /// For use when the API server did not accept `token`: reads the token again now. True if it differs from `token`.
  bool refused(const std::string& token);

 private:
  Credentials(ClusterConfig cluster, const Clock& clock) : cluster_(std::move(cluster)), clock_(clock) {}
  absl::Status read_token();
  absl::Status read_tls();
  void read_again();
  void log_failure(const absl::Status& status);

  /// The texts from which the TLS context in use was made.
  struct Texts {
    std::string authorities;
    std::string certificate;
    std::string key;
    friend bool operator==(const Texts&, const Texts&) = default;
  };

  const ClusterConfig cluster_;
  const Clock& clock_;
  TimePoint read_at_{};
  std::string token_;
  std::optional<Texts> texts_;
  std::shared_ptr<tls::ClientContext> tls_;
  LogDeduplicator mistakes_{
      {.repeat = LogDeduplicator::Options::Repeat::kLastLogged, .logged_max = LogDeduplicator::kUnlimited}};
};

}  // namespace router::kubernetes
