#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <functional>
#include <string>

#include "config/config.h"

namespace router::kubernetes {

/// A token, key or certificate, secret or not: the name of a file, whose content may change, or the text itself.
struct Material {
  std::string file;  // empty: `text` is used
  std::string text;
  std::string name;  // for messages: the file, or the key of the kubeconfig that contains the text

  bool is_given() const { return !file.empty() || !text.empty(); }
};

/// The address of an API server, how its certificate is verified, and the router's credentials.
struct ClusterConfig {
  std::string host;  // a name or an address, an IPv6 address without brackets
  std::uint16_t port = 443;
  bool uses_tls = true;
  std::string base_path;    // prefix of every path: empty, or begins with a slash and does not end with one
  std::string server_name;  // the name expected in its certificate
  bool verify = true;
  Material authorities;  // PEM; not given: the system's trust store
  Material certificate;  // of the client, PEM
  Material key;
  Material token;              // a bearer token
  std::string namespace_name;  // the default namespace; empty: unknown

  /// `host:port`, for messages and the Host field.
  std::string authority() const;
};

/// The value of an environment variable, or empty.
using Environment = std::function<std::string(const char* variable)>;
Environment process_environment();

/// Reads the kubeconfig file that `settings` name (its current context), or the pod's service account (its folder,
/// KUBERNETES_SERVICE_HOST and _PORT). Credentials reads tokens, certificates and keys that are in other files. Fails with one
/// line for each mistake, `file:line: key: what is wrong`, which contains no secret. Features that this client does not support
/// are mistakes: plug-ins (`exec`, `auth-provider`), passwords, impersonation, proxies, and plaintext to any host but the
/// loopback.
absl::StatusOr<ClusterConfig> read_cluster_config(const config::Kubernetes& settings,
                                                  const Environment& environment = process_environment());

}  // namespace router::kubernetes
