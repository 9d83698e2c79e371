#pragma once

#include <absl/status/statusor.h>

#include <string>
#include <vector>

namespace router::convert {

struct Converted {
  std::string text;                   // YAML, several documents
  std::vector<std::string> warnings;  // in the format of `--check`
};

struct Options {
  std::vector<std::string> files;  // overlays among them are merged; a folder stands for its *.yml and *.yaml
  std::string namespace_name;      // of the resources
  std::string endpoint_name;       // as `az ml … --endpoint-name`: replaces the name in the files; empty: keeps it
};

/// Converts files of Azure ML's YAML to Kubernetes resources (docs/kubernetes.md): an OnlineEndpoint for each endpoint; for
/// each deployment an OnlineDeployment and, as a start, a Deployment of pods with its Service. YAML comments list what is not
/// converted, or has no effect here. On failure the message holds all mistakes with file, line and key. Reads the files, but
/// neither the environment nor the files that they name. Any thread.
absl::StatusOr<Converted> convert(const Options& options);

/// Limit for one resource; the API server accepts slightly more.
inline constexpr std::size_t kResourceBytesMax = 1024 * 1024;

}  // namespace router::convert
