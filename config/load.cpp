#include "config/load.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <glob.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>

#include "config/azureml.h"
#include "config/reader.h"
#include "config/router_yaml.h"

namespace router::config {
namespace {

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

std::vector<std::string> matches(const std::string& pattern) {
  std::vector<std::string> files;
  glob_t found{};
  if (::glob(pattern.c_str(), 0, nullptr, &found) == 0) files.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  ::globfree(&found);
  return files;
}

class Loader {
 public:
  absl::StatusOr<Config> load(const std::string& router_yaml) {
    config_.files.push_back(router_yaml);
    const auto documents = read_yaml(router_yaml, mistakes_);
    if (documents.size() > 1) mistakes_.push_back({router_yaml, documents[1]->line, "one document is expected"});
    if (!documents.empty() && as_map(router_yaml, *documents.front())) {
      config_.process = read_process(MapReader(router_yaml, *documents.front(), "", mistakes_));
    }
    for (const std::string& pattern : config_.process.endpoint_globs) read_endpoint_files(router_yaml, pattern);
    join();
    for (Endpoint& endpoint : config_.endpoints) read_keys(endpoint);
    note_files();
    if (mistakes_.empty()) return std::move(config_);
    return absl::InvalidArgumentError(absl::StrJoin(mistakes_, "\n", [](std::string* out, const Mistake& mistake) {
      absl::StrAppend(out, mistake.file, mistake.line > 0 ? absl::StrCat(":", mistake.line) : "", ": ", mistake.text);
    }));
  }

 private:
  bool as_map(const std::string& file, const YamlValue& document) {
    if (document.kind == YamlValue::Kind::kMap) return true;
    mistakes_.push_back({file, document.line, "a map of keys is expected"});
    return false;
  }

  void read_endpoint_files(const std::string& router_yaml, const std::string& pattern) {
    config_.files.push_back(std::filesystem::path(pattern).parent_path().string());
    const std::vector<std::string> files = matches(pattern);
    if (files.empty()) {  // a folder may still be empty; a file that is named must be there
      const bool named = pattern.find_first_of("*?[") == std::string::npos;
      if (named) mistakes_.push_back({router_yaml, 0, absl::StrCat("endpoints: there is no file ", pattern)});
      if (!named) config_.warnings.push_back(absl::StrCat(router_yaml, ": endpoints: no file matches ", pattern));
    }
    for (const std::string& file : files) {
      if (!read_.insert(file).second) continue;
      config_.files.push_back(file);
      for (const auto& document : read_yaml(file, mistakes_)) {
        if (!as_map(file, *document)) continue;
        MapReader reader(file, *document, "", mistakes_);
        if (is_deployment(reader)) {
          deployments_.push_back(read_deployment(reader));
        } else {
          config_.endpoints.push_back(read_endpoint(reader));
        }
      }
    }
  }

  /// Puts deployments under their endpoints, and checks what only shows when all files are known.
  void join() {
    std::map<std::string, Endpoint*> endpoints;
    std::map<std::string, const Endpoint*> hosts;
    for (Endpoint& endpoint : config_.endpoints) {
      const auto [other, fresh] = endpoints.emplace(lower(endpoint.name), &endpoint);
      if (!fresh) {
        mistakes_.push_back({endpoint.file, endpoint.line,
                             absl::StrCat("name: the endpoint ", endpoint.name, " is already in ", other->second->file, ":",
                                          other->second->line)});
      }
      for (const std::string& host : endpoint.hostnames) {
        if (!hosts.emplace(host, &endpoint).second) {
          mistakes_.push_back({endpoint.file, endpoint.line, absl::StrCat("router.hostnames: ", host, " is declared twice")});
        }
      }
    }
    for (Deployment& deployment : deployments_) {
      const auto endpoint = endpoints.find(lower(deployment.endpoint_name));
      if (endpoint == endpoints.end()) {
        mistakes_.push_back(
            {deployment.file, deployment.line,
             absl::StrCat("endpoint_name: there is no endpoint ", deployment.endpoint_name, " in the files of `endpoints:`")});
        continue;
      }
      add(*endpoint->second, std::move(deployment));
    }
    for (const Endpoint& endpoint : config_.endpoints) check_names(endpoint);
  }

  void add(Endpoint& endpoint, Deployment deployment) {
    for (const Deployment& other : endpoint.deployments) {
      if (lower(other.name) != lower(deployment.name)) continue;
      mistakes_.push_back(
          {deployment.file, deployment.line,
           absl::StrCat("name: the deployment ", deployment.name, " is already in ", other.file, ":", other.line)});
      return;
    }
    if (deployment.replicas.empty()) {
      config_.warnings.push_back(
          absl::StrCat(deployment.file, ":", deployment.line, ": router.replicas: none, so nothing answers"));
    }
    endpoint.deployments.push_back(std::move(deployment));
  }

  void check_names(const Endpoint& endpoint) {
    const auto check = [&](const std::map<std::string, int>& percents, const char* key) {
      for (const auto& [name, percent] : percents) {
        const bool known =
            std::any_of(endpoint.deployments.begin(), endpoint.deployments.end(),
                        [&name = name](const Deployment& deployment) { return lower(deployment.name) == lower(name); });
        if (known) continue;
        mistakes_.push_back(
            {endpoint.file, endpoint.line, absl::StrCat(key, ".", name, ": the endpoint has no deployment of this name")});
      }
    };
    check(endpoint.traffic, "traffic");
    check(endpoint.mirror_traffic, "mirror_traffic");
    if (endpoint.auth_mode != AuthMode::kKey) {
      config_.warnings.push_back(absl::StrCat(endpoint.file, ":", endpoint.line,
                                              ": auth_mode: tokens are not supported yet, the endpoint answers 401; use key"));
    }
  }

  void read_keys(Endpoint& endpoint) {
    for (const auto& [key, file] : {std::pair("router.keys.primary_file", &endpoint.primary_key_file),
                                    std::pair("router.keys.secondary_file", &endpoint.secondary_key_file)}) {
      if (file->empty()) continue;
      config_.files.push_back(*file);
      std::ifstream stream(*file);
      std::string text;
      std::getline(stream, text);
      while (!text.empty() && (text.back() == '\r' || text.back() == ' ')) text.pop_back();
      const bool plain = std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7f; });
      if (text.empty() || !plain) {
        mistakes_.push_back({endpoint.file, endpoint.line,
                             absl::StrCat(key, ": ", *file,
                                          text.empty() ? " cannot be read or is empty" : " has characters a key cannot have")});
        continue;
      }
      endpoint.keys.push_back({std::move(text)});
    }
    if (endpoint.keys.empty() && endpoint.auth_mode == AuthMode::kKey) {
      config_.warnings.push_back(absl::StrCat(endpoint.file, ":", endpoint.line, ": router.keys: none, so nobody may score"));
    }
  }

  void note_files() {
    for (const Listener& listener : config_.process.listeners) {
      if (!listener.tls) continue;
      for (const Certificate& certificate : listener.tls->certificates) {
        config_.files.push_back(certificate.certificate_file);
        config_.files.push_back(certificate.key_file);
        if (!certificate.password_file.empty()) config_.files.push_back(certificate.password_file);
      }
      config_.files.insert(config_.files.end(), listener.tls->ticket_key_files.begin(), listener.tls->ticket_key_files.end());
    }
    for (const Endpoint& endpoint : config_.endpoints) {
      for (const Deployment& deployment : endpoint.deployments) {
        if (deployment.tls && !deployment.tls->ca_file.empty()) config_.files.push_back(deployment.tls->ca_file);
      }
    }
  }

  Config config_;
  std::vector<Deployment> deployments_;
  std::vector<Mistake> mistakes_;
  std::set<std::string> read_;
};

}  // namespace

absl::StatusOr<Config> load(const std::string& router_yaml) {
  return Loader().load(std::filesystem::absolute(router_yaml).lexically_normal().string());
}

}  // namespace router::config
