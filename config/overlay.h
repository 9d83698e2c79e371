#pragma once

#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "config/reader.h"

/// Overlays: files named `*.overlay.yml` or `*.overlay.yaml`, beside files of Azure ML that stay as Azure's own tools take them
/// (docs/decisions/0054-overlay-files.md). What an overlay says is laid over the trees of those files before they are read, so
/// that one reader knows the keys of `router:` and of overlays:
///
///   endpoints:
///     iris:                          # an endpoint's name, compared without case
///       keys: {primary_file: …}      # any key of an endpoint's `router:`
///       traffic: {blue: 100}         # in place of the file's; mirror_traffic likewise
///       deployments:
///         blue:
///           replicas: […]            # any key of a deployment's `router:`
///   files:                           # what `az ml … create --file` takes on its command line
///     blue-deployment.yml: {endpoint_name: iris, name: blue, all_traffic: true}
namespace router::config {

// What an overlay knows besides the keys of `router:`, level by level.
inline constexpr std::initializer_list<const char*> kOverlayKeys = {"endpoints", "files"};
inline constexpr std::initializer_list<const char*> kOverlayKeysOfEndpoint = {"deployments", "mirror_traffic", "traffic"};
inline constexpr std::initializer_list<const char*> kOverlayKeysOfFile = {"all_traffic", "endpoint_name", "name"};
inline constexpr std::initializer_list<const char*> kOverlayEndings = {".overlay.yml", ".overlay.yaml"};

/// By its name alone.
bool is_overlay(std::string_view file);

/// One document of a file of Azure ML.
struct FileDocument {
  std::string file;
  std::shared_ptr<const YamlValue> value;  // a map
};

/// What files of Azure ML and the overlays beside them say together.
struct FileDocuments {
  std::vector<FileDocument> all;  // in the order of the files; overlays are laid over them and are not among them
  bool complete = true;           // every file could be read to its end: what is missing is missing
};

/// Reads `files`, some of which may be overlays, whatever their order. Mistakes are added to `findings`: of YAML, of the
/// overlays' own layout, a key that stands in two places, and an overlay for what is not there. What the documents say is not
/// judged. Source::kResource: texts are taken as they stand, `${NAME}` too. `endpoint_name`, as of a command line: unless it is
/// empty, it wins over what files and overlays call the endpoint, and overlays speak of the endpoint by it.
FileDocuments read_documents(const std::vector<std::string>& files, Findings& findings, Source source = Source::kFile,
                             const std::string& endpoint_name = "");

}  // namespace router::config
