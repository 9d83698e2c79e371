#include "config/load.h"

#include <algorithm>
#include <exception>
#include <filesystem>
#include <new>
#include <set>

#include "config/azureml.h"
#include "config/endpoint_files.h"
#include "config/foreign.h"
#include "config/join.h"
#include "config/keys.h"
#include "config/overlay.h"
#include "config/reader.h"
#include "config/router_yaml.h"

namespace router::config {
namespace {

class Loader {
 public:
  Loader(std::vector<std::string>& files, const Examine& examine) : files_(files), examine_(examine) {}

  absl::StatusOr<Config> load(const std::string& router_yaml) {
    known_.insert(router_yaml);  // a pattern of `endpoints` may match it too
    files_.push_back(router_yaml);
    Config config;
    config.process = read_router_yaml(router_yaml);
    for (std::size_t i = 0; i < config.process.endpoint_globs.size(); ++i) {
      find_files(glob_locations_[i], config.process.endpoint_globs[i]);
    }
    read_resources();
    for (EndpointDocument& each : endpoints_) read_keys(each, findings_, files_);
    note_files(config.process);
    if (examine_) examine(config.process);
    config.endpoints = join(std::move(endpoints_), std::move(deployments_), complete_, findings_);
    if (findings_.has_mistakes()) return absl::InvalidArgumentError(findings_.mistakes());
    config.warnings = findings_.warnings();
    return config;
  }

 private:
  Process read_router_yaml(const std::string& file) {
    const YamlFile found = read_yaml(file, findings_);
    if (!found.complete) complete_ = false;
    if (found.documents.empty()) return {};
    if (found.documents.size() > 1) {
      findings_.mistake({file, found.documents[1]->line, ""}, "a second document; router.yaml is one");
    }
    std::optional<MapReader> document = as_map(file, *found.documents.front());
    if (!document) return {};
    if (const std::string told = describe_foreign_router_yaml(*document); !told.empty()) {
      findings_.mistake(document->location(), told);
      complete_ = false;
      return {};
    }
    return read_process(*document, &glob_locations_);
  }

  std::optional<MapReader> as_map(const std::string& file, const YamlValue& document) {
    if (document.kind == YamlValue::Kind::kMap) return MapReader(file, document, "", findings_);
    findings_.mistake({file, document.line, ""}, "a map of keys is expected");
    return std::nullopt;
  }

  /// Adds the files that a pattern matches, and all overlays in the folders that it searches, even if the pattern does not
  /// match their names.
  void find_files(const Location& location, const std::string& pattern) {
    Matches matches = match(location, pattern);
    if (!is_overlay(pattern)) std::erase_if(matches.files, is_overlay);  // otherwise the pattern matches overlays only
    std::vector<std::string> overlays;
    for (const std::string& each : overlay_patterns(pattern)) {
      const Matches found = match(location, each);
      overlays.insert(overlays.end(), found.files.begin(), found.files.end());
    }
    const bool finds_overlays = matches.has_wildcards && !overlays.empty();
    if (matches.files.empty() && !matches.too_many && !finds_overlays) {
      complete_ = complete_ && matches.has_wildcards;
      // A folder may be empty for now, but a named file must exist.
      if (matches.has_wildcards) findings_.warning(location, "no file matches " + shown_path(pattern));
      if (!matches.has_wildcards) findings_.mistake(location, "there is no file " + shown_path(pattern));
    }
    add(matches.files);
    add(overlays);
  }

  Matches match(const Location& location, const std::string& pattern) {
    Matches matches = find_matches(pattern);
    files_.insert(files_.end(), matches.folders.begin(), matches.folders.end());
    if (!matches.too_many) return matches;
    findings_.mistake(location, "matches more than " + std::to_string(kMatchesMax) + " files");
    matches.files.clear();
    return matches;
  }

  void add(const std::vector<std::string>& files) {
    for (const std::string& file : files) {
      if (!known_.insert(file).second) continue;
      files_.push_back(file);
      resources_.push_back(file);
    }
  }

  /// A file may hold several documents. Each describes an endpoint or a deployment.
  void read_resources() {
    const FileDocuments found = read_documents(resources_, findings_);
    if (!found.complete) complete_ = false;
    for (const FileDocument& each : found.all) {
      MapReader document(each.file, *each.value, "", findings_);
      if (!read_resource(document)) complete_ = false;
    }
  }

  /// Returns false if the name of the document is not known.
  bool read_resource(MapReader& document) {
    switch (kind_of(document)) {
      case DocumentKind::kEndpoint:
        endpoints_.push_back(read_endpoint(document));
        return !endpoints_.back().endpoint.name.empty();
      case DocumentKind::kDeployment: read_deployment_document(document); return !deployments_.back().deployment.name.empty();
      case DocumentKind::kOther: break;
    }
    return false;
  }

  void read_deployment_document(MapReader& document) {
    deployments_.push_back(read_deployment(document));
    const Deployment& deployment = deployments_.back().deployment;
    if (deployment.tls && !deployment.tls->ca_file.empty()) files_.push_back(deployment.tls->ca_file);
  }

  void examine(const Process& process) {
    std::vector<const Deployment*> deployments;
    deployments.reserve(deployments_.size());
    for (const DeploymentDocument& each : deployments_) deployments.push_back(&each.deployment);
    examine_(process, deployments, findings_);
  }

  void note_files(const Process& process) {
    if (process.fleet) files_.push_back(process.fleet->key_file);
    for (const Listener& listener : process.listeners) {
      if (!listener.tls) continue;
      for (const Certificate& each : listener.tls->certificates) {
        files_.insert(files_.end(), {each.certificate_file, each.key_file, each.password_file});
      }
      files_.insert(files_.end(), listener.tls->ticket_key_files.begin(), listener.tls->ticket_key_files.end());
    }
  }

  std::vector<std::string>& files_;
  const Examine& examine_;
  Findings findings_;
  std::set<std::string> known_;         // paths that were added already
  std::vector<std::string> resources_;  // files of endpoints and deployments, and overlays
  std::vector<EndpointDocument> endpoints_;
  std::vector<DeploymentDocument> deployments_;
  std::vector<Location> glob_locations_;
  bool complete_ = true;  // all names of endpoints and deployments are known, so a name that is not found does not exist
};

/// Keeps each path once, in the order of its first occurrence, and removes empty ones.
void remove_repeated(std::vector<std::string>& paths) {
  std::set<std::string> seen{""};
  paths.erase(
      std::remove_if(paths.begin(), paths.end(), [&seen](const std::string& path) { return !seen.insert(path).second; }),
      paths.end());
}

}  // namespace

absl::StatusOr<Config> load(const std::string& router_yaml, std::vector<std::string>* files, const Examine& examine) {
  std::vector<std::string> met;
  absl::StatusOr<Config> config = absl::InternalError("not read");
  try {
    const std::string file = std::filesystem::absolute(router_yaml).lexically_normal().string();
    config = Loader(met, examine).load(file);
  } catch (const std::bad_alloc&) {  // says nothing about the files
    config = absl::ResourceExhaustedError("memory is short");
  } catch (const std::exception& exception) {  // the file system library refuses a path
    config = absl::InternalError(router_yaml + ": cannot be read: " + exception.what());
  }
  remove_repeated(met);
  if (config.ok()) config->files = met;
  if (files != nullptr) *files = std::move(met);
  return config;
}

}  // namespace router::config
