#pragma once

#include <absl/status/statusor.h>

#include <string>
#include <vector>

namespace router::convert {

struct Converted {
  std::string text;                   // YAML, several documents
  std::vector<std::string> warnings;  // as `--check` tells them
};

/// Files of Azure ML's YAML as resources of Kubernetes (docs/kubernetes.md): an OnlineEndpoint for each endpoint; for each
/// deployment an OnlineDeployment, and as a beginning a Deployment of pods with its Service. What does not move over is told in
/// comments. On failure the message holds all mistakes with file, line and key. Reads the files, and neither environment nor
/// what they name. Any thread.
absl::StatusOr<Converted> convert(const std::vector<std::string>& files, const std::string& home);

/// Of one resource; the API server takes some more.
inline constexpr std::size_t kResourceBytesMax = 1024 * 1024;

}  // namespace router::convert
