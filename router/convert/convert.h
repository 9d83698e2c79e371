#pragma once

#include <absl/status/statusor.h>

#include <string>
#include <vector>

namespace router::convert {

struct Converted {
  std::string text;                   // YAML, several documents
  std::vector<std::string> warnings;  // as `--check` tells them
};

struct Options {
  std::vector<std::string> files;  // overlays among them are laid over; a folder stands for its *.yml and *.yaml
  std::string namespace_name;      // the namespace
  std::string endpoint_name;       // as `az ml … --endpoint-name`: wins over what the files say; empty: theirs
};

/// Files of Azure ML's YAML as resources of Kubernetes (docs/kubernetes.md): an OnlineEndpoint for each endpoint; for each
/// deployment an OnlineDeployment, and as a beginning a Deployment of pods with its Service. What does not move over, or has no
/// effect here, is told in comments. On failure the message holds all mistakes with file, line and key. Reads the files, and
/// neither environment nor what they name. Any thread.
absl::StatusOr<Converted> convert(const Options& options);

/// Of one resource; the API server takes some more.
inline constexpr std::size_t kResourceBytesMax = 1024 * 1024;

}  // namespace router::convert
