#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <functional>
#include <string>

#include "config/config.h"

namespace router::kubernetes {

/// Something secret or not that stands in a file, which may change, or where the file could have been named.
struct Material {
  std::string file;  // empty: `text` is all there is
  std::string text;
  std::string name;  // for messages: the file, or the key that holds the text

  bool is_given() const { return !file.empty() || !text.empty(); }
};

/// Where an API server is, how it is known, and who asks it.
struct ClusterConfig {
  std::string host;  // a name or an address, an IPv6 address without brackets
  std::uint16_t port = 443;
  bool uses_tls = true;
  std::string base_path;    // in front of every path: empty, or begins with a slash and does not end with one
  std::string server_name;  // that its certificate bears
  bool verify = true;
  Material authorities;  // PEM; not given: the system's trust store
  Material certificate;  // of the client, PEM
  Material key;
  Material token;              // a bearer token
  std::string namespace_name;  // the namespace that is meant when none is said; empty: unknown

  /// `host:port`, for messages and the Host field.
  std::string authority() const;
};

/// The value of an environment variable, or empty.
using Environment = std::function<std::string(const char* variable)>;
Environment process_environment();

/// From the kubeconfig file that `settings` name, or from the pod's service account (folder, KUBERNETES_SERVICE_HOST and
/// _PORT). Only files of the kubeconfig itself and the namespace are read: Credentials reads the rest. Of a kubeconfig the
/// current context counts. Fails with one line for each mistake, `file:line: key: what is wrong`; nothing secret is in it. What
/// this client cannot do is a mistake: plug-ins (`exec`, `auth-provider`), passwords, impersonation, proxies, and plaintext to
/// anything but the loopback.
absl::StatusOr<ClusterConfig> read_cluster_config(const config::Kubernetes& settings,
                                                  const Environment& environment = process_environment());

}  // namespace router::kubernetes
