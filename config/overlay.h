#pragma once

#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "config/reader.h"

/// Overlays: files named `*.overlay.yml` or `*.overlay.yaml` beside files of Azure ML, which stay as Azure's own tools accept
/// them (docs/decisions/0054-overlay-files.md). Overlays are merged into the trees of those files before these are read, so
/// that one reader knows the keys of `router:` and of overlays:
///
///   endpoints:
///     iris:                          # an endpoint's name, compared without case
///       keys: {primary_file: …}      # any key of an endpoint's `router:`
///       traffic: {blue: 100}         # replaces the file's; mirror_traffic likewise
///       deployments:
///         blue:
///           replicas: […]            # any key of a deployment's `router:`
///   files:                           # what `az ml … create --file` takes from its command line
///     blue-deployment.yml: {endpoint_name: iris, name: blue, all_traffic: true}
namespace router::config {

// The keys of overlays besides those of `router:`, by level.
inline constexpr std::initializer_list<const char*> kOverlayKeys = {"endpoints", "files"};
inline constexpr std::initializer_list<const char*> kOverlayKeysOfEndpoint = {"deployments", "mirror_traffic", "traffic"};
inline constexpr std::initializer_list<const char*> kOverlayKeysOfFile = {"all_traffic", "endpoint_name", "name"};
inline constexpr std::initializer_list<const char*> kOverlayEndings = {".overlay.yml", ".overlay.yaml"};

/// Decides by the name alone.
bool is_overlay(std::string_view file);

/// One document of an Azure ML file.
struct FileDocument {
  std::string file;
  std::shared_ptr<const YamlValue> value;  // a map
};

/// The documents of Azure ML files, merged with the overlays beside them.
struct FileDocuments {
  std::vector<FileDocument> all;  // in the order of the files; overlays are merged into them and are not listed
  bool complete = true;           // every file was read to its end, so a name that is not found does not exist
};

/// Reads `files`; some of them may be overlays, in any order. Adds mistakes to `findings`: YAML errors, mistakes in the layout
/// of overlays, a key that is set twice, and an overlay for something that does not exist. Does not check what the documents
/// say. Source::kResource: texts are taken literally, `${NAME}` too. `endpoint_name` is the name given on a command line: if
/// not empty, it replaces the endpoint's name in files and overlays, and overlays must refer to the endpoint by it.
FileDocuments read_documents(const std::vector<std::string>& files, Findings& findings, Source source = Source::kFile,
                             const std::string& endpoint_name = "");

}  // namespace router::config
