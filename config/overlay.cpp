#include "config/overlay.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>
#include <set>

#include "config/azureml.h"
#include "config/file_text.h"

namespace router::config {
namespace {

using Kind = YamlValue::Kind;
using Member = YamlValue::Member;

std::string at(const Location& location) { return location.file + ":" + std::to_string(location.line); }

/// What overlays add to one map: members with their locations.
using Members = std::vector<Member>;

void add(Members& members, Member fresh, Findings& findings) {
  for (const Member& each : members) {
    if (each.key != fresh.key) continue;
    findings.mistake(*fresh.elsewhere, "stands in " + at(*each.elsewhere) + ", too; remove one of the two");
    return;
  }
  members.push_back(std::move(fresh));
}

struct DeploymentSection {
  Location location;  // of its first mention
  Members router;
  bool is_used = false;
};

struct EndpointSection {
  Location location;
  std::string name;  // as the overlay spells it
  Members router;
  Members document;                                      // traffic and mirror_traffic
  std::map<std::string, DeploymentSection> deployments;  // by lower-case name
  bool is_used = false;
};

struct FileSection {
  Location location;
  Members document;  // name and endpoint_name
  std::optional<Location> all_traffic;
  bool is_used = false;
};

/// All overlays together; several may describe one endpoint.
struct Overlays {
  std::map<std::string, EndpointSection> endpoints;  // by lower-case name
  std::map<std::string, FileSection> files;          // by absolute path
  bool complete = true;
};

std::string absolute(const std::string& path) { return std::filesystem::absolute(path).lexically_normal().string(); }

void read_deployments(MapReader& endpoint, EndpointSection& into) {
  std::optional<MapReader> deployments = endpoint.map("deployments");
  if (!deployments) return;
  for (const std::string& name : deployments->names()) {
    std::optional<MapReader> deployment = deployments->map(name);
    if (!deployment) continue;
    DeploymentSection& section = into.deployments[lower_case(name)];
    if (section.location.file.empty()) section.location = deployments->location(name);
    for (Member& each : deployment->members()) add(section.router, std::move(each), endpoint.findings());
  }
}

void read_endpoints(MapReader& overlay, Overlays& into) {
  std::optional<MapReader> endpoints = overlay.map("endpoints");
  if (!endpoints) return;
  for (const std::string& name : endpoints->names()) {
    std::optional<MapReader> endpoint = endpoints->map(name);
    if (!endpoint) continue;
    EndpointSection& section = into.endpoints[lower_case(name)];
    if (section.location.file.empty()) {
      section.location = endpoints->location(name);
      section.name = name;
    }
    read_deployments(*endpoint, section);
    for (Member& each : endpoint->members()) {
      if (each.key == "deployments") continue;
      const bool is_azures = each.key == "traffic" || each.key == "mirror_traffic";
      add(is_azures ? section.document : section.router, std::move(each), overlay.findings());
    }
  }
}

void read_file_section(MapReader& file, FileSection& section) {
  for (Member& each : file.members()) {
    if (each.key == "name" || each.key == "endpoint_name") add(section.document, std::move(each), file.findings());
  }
  if (file.boolean("all_traffic").value_or(false)) {
    if (section.all_traffic) {
      file.mistake("all_traffic", "stands in " + at(*section.all_traffic) + ", too; remove one of the two");
    } else {
      section.all_traffic = file.location("all_traffic");
    }
  }
  file.ignore(kOverlayKeysOfFile);
  file.finish();
}

void read_files(MapReader& overlay, Overlays& into) {
  std::optional<MapReader> files = overlay.map("files");
  if (!files) return;
  for (const std::string& name : files->names()) {
    std::optional<MapReader> file = files->map(name);
    if (!file) continue;
    FileSection& section = into.files[absolute(absolute_path(overlay.file(), name))];
    if (section.location.file.empty()) section.location = files->location(name);
    read_file_section(*file, section);
  }
}

void read_overlay(const std::string& file, Overlays& into, Findings& findings, Source source) {
  const YamlFile found = read_yaml(file, findings);
  if (!found.complete) into.complete = false;
  for (const auto& value : found.documents) {
    if (value->kind == Kind::kMap) {
      MapReader overlay(file, *value, "", findings, source);
      read_endpoints(overlay, into);
      read_files(overlay, into);
      overlay.finish();
    } else {
      findings.mistake({file, value->line, ""}, "a map with the keys endpoints and files is expected");
      into.complete = false;
    }
  }
}

/// Returns `value` with `members`: each replaces the member of the same key, or is appended.
std::shared_ptr<const YamlValue> with(const YamlValue& value, const Members& members) {
  auto made = std::make_shared<YamlValue>(value);
  for (const Member& each : members) {
    const auto known =
        std::find_if(made->members.begin(), made->members.end(), [&each](const Member& old) { return old.key == each.key; });
    if (known == made->members.end()) {
      made->members.push_back(each);
    } else {
      *known = each;
    }
  }
  return made;
}

/// A text for `key`, with the line of the text that it replaces.
Member make_text(const YamlValue& map, const char* key, const std::string& text) {
  auto value = std::make_shared<YamlValue>();
  const Member* old = map.find(key);
  value->kind = Kind::kScalar;
  value->line = old == nullptr ? map.line : old->line;
  value->scalar = text;
  value->is_plain = true;
  return {key, value->line, std::move(value), nullptr};
}

/// A map of one key, with `location` as its location.
Member make_map(const char* key, const std::string& inner, const std::string& scalar, const Location& location) {
  auto percent = std::make_shared<YamlValue>();
  percent->kind = Kind::kScalar;
  percent->line = location.line;
  percent->scalar = scalar;
  percent->is_plain = true;
  auto map = std::make_shared<YamlValue>();
  map->kind = Kind::kMap;
  map->line = location.line;
  map->members.push_back({inner, location.line, std::move(percent)});
  return {key, location.line, std::move(map), std::make_shared<const Location>(location)};
}

/// Merges overlays into the documents. It determines the kind and the names of all documents first, since the file of one
/// deployment may set the traffic of its endpoint, which is another document.
class Laying {
 public:
  Laying(Overlays& overlays, FileDocuments& documents, Findings& findings, Source source, const std::string& endpoint_name)
      : overlays_(overlays), documents_(documents), findings_(findings), source_(source), endpoint_name_(endpoint_name) {}

  void run() {
    for (FileDocument& each : documents_.all) ++documents_of_[absolute(each.file)];
    for (FileDocument& each : documents_.all) named_.push_back(name(each));
    for (std::size_t i = 0; i < named_.size(); ++i) note_all_traffic(named_[i]);
    for (std::size_t i = 0; i < named_.size(); ++i) lay_over(documents_.all[i], named_[i]);
    if (!overlays_.complete) drop_unnamed();
    if (!documents_.complete || !names_are_known_) return;
    refuse_unused_endpoints();
    refuse_unused_files();
  }

 private:
  struct Named {
    DocumentKind kind = DocumentKind::kOther;
    std::string endpoint;    // lower case; empty: unknown
    std::string deployment;  // lower case; empty: unknown
    std::string spelled;     // the document's own name
    const FileSection* file = nullptr;
  };

  Named name(FileDocument& document) {
    Named named;
    named.file = lay_over_names(document);
    Findings reported_later;  // reported when the document is read
    named.kind = kind_of(MapReader(document.file, *document.value, "", reported_later, source_));
    lay_over_endpoint_name(document, named.kind);
    MapReader reader(document.file, *document.value, "", reported_later, source_);
    named.spelled = reader.text("name").value_or("");
    if (named.kind == DocumentKind::kEndpoint) {
      named.endpoint = lower_case(named.spelled);
      names_are_known_ = names_are_known_ && !named.endpoint.empty();
      refuse_for_an_endpoint(document, named.file);
    } else if (named.kind == DocumentKind::kDeployment) {
      named.endpoint = lower_case(reader.text("endpoint_name").value_or(""));
      named.deployment = lower_case(named.spelled);
      names_are_known_ = names_are_known_ && !named.endpoint.empty() && !named.deployment.empty();
    } else {
      names_are_known_ = false;
    }
    return named;
  }

  void lay_over_endpoint_name(FileDocument& document, DocumentKind kind) const {
    if (endpoint_name_.empty() || kind == DocumentKind::kOther) return;
    const char* key = kind == DocumentKind::kEndpoint ? "name" : "endpoint_name";
    document.value = with(*document.value, {make_text(*document.value, key, endpoint_name_)});
  }

  const FileSection* lay_over_names(FileDocument& document) {
    const auto found = overlays_.files.find(absolute(document.file));
    if (found == overlays_.files.end()) return nullptr;
    FileSection& section = found->second;
    const std::size_t documents = documents_of_[found->first];
    if (documents > 1) {
      if (!section.is_used) {
        findings_.mistake(section.location, "the file holds " + std::to_string(documents) +
                                                " documents; an overlay can name only a file with one, as az ml reads it");
      }
      section.is_used = true;
      return nullptr;
    }
    section.is_used = true;
    if (!section.document.empty()) document.value = with(*document.value, section.document);
    return &section;
  }

  void refuse_for_an_endpoint(const FileDocument& document, const FileSection* section) {
    constexpr const char* kWhy = " describes an endpoint; this is for the file of a deployment";
    if (section == nullptr) return;
    for (const Member& each : section->document) {
      if (each.key == "endpoint_name") findings_.mistake(*each.elsewhere, document.file + kWhy);
    }
    if (section->all_traffic) findings_.mistake(*section->all_traffic, document.file + kWhy);
  }

  /// Turns `all_traffic` into the endpoint's `traffic`.
  void note_all_traffic(const Named& named) {
    if (named.file == nullptr || !named.file->all_traffic) return;
    if (named.kind != DocumentKind::kDeployment || named.endpoint.empty() || named.deployment.empty()) return;
    const Location& location = *named.file->all_traffic;
    const auto section = overlays_.endpoints.find(named.endpoint);
    if (section != overlays_.endpoints.end()) {
      for (const Member& each : section->second.document) {
        if (each.key != "traffic") continue;
        findings_.mistake(location, "the traffic of the endpoint " + shown(section->second.name) + " stands in " +
                                        at(*each.elsewhere) + ", too; remove one of the two");
        return;
      }
    }
    const auto [other, fresh] = all_traffic_.try_emplace(named.endpoint, make_map("traffic", named.spelled, "100", location));
    if (!fresh) {
      findings_.mistake(location, "another deployment of this endpoint gets all of its traffic in " +
                                      at(*other->second.elsewhere) +
                                      "; remove one of the two, or give traffic under endpoints");
    }
  }

  void lay_over(FileDocument& document, const Named& named) {
    if (named.kind == DocumentKind::kEndpoint) {
      const auto all = all_traffic_.find(named.endpoint);
      if (all != all_traffic_.end()) document.value = with(*document.value, {all->second});
    }
    const auto found = overlays_.endpoints.find(named.endpoint);
    if (found == overlays_.endpoints.end()) return;
    EndpointSection& endpoint = found->second;
    if (named.kind == DocumentKind::kEndpoint) {
      endpoint.is_used = true;
      if (!endpoint.document.empty()) document.value = with(*document.value, endpoint.document);
      lay_over_router(document, endpoint.router);
    } else if (named.kind == DocumentKind::kDeployment) {
      const auto deployment = endpoint.deployments.find(named.deployment);
      if (deployment == endpoint.deployments.end()) return;
      deployment->second.is_used = true;
      lay_over_router(document, deployment->second.router);
    }
  }

  void lay_over_router(FileDocument& document, const Members& members) {
    if (members.empty()) return;
    Member router{"router", members.front().line, nullptr,
                  std::make_shared<const Location>(parent(*members.front().elsewhere))};
    auto value = std::make_shared<YamlValue>();
    value->kind = Kind::kMap;
    value->line = members.front().line;
    if (const Member* own = document.value->find("router")) {
      if (own->value->kind != Kind::kMap) return;  // reported when the document is read
      router = *own;
      *value = *own->value;
    }
    for (const Member& each : members) {
      if (const Member* own = value->find(each.key)) {
        const Location& location = *each.elsewhere;
        findings_.mistake(location, "stands in " + document.file + ":" + std::to_string(own->line) +
                                        " under router, too; remove one of the two");
      } else {
        value->members.push_back(each);
      }
    }
    router.value = std::move(value);
    document.value = with(*document.value, {router});
  }

  /// `endpoints.iris` for `endpoints.iris.keys`.
  static Location parent(Location location) {
    location.path = location.path.substr(0, location.path.rfind('.'));
    return location;
  }

  /// Drops documents without a name while an overlay that may name them cannot be read: the missing name is no mistake.
  void drop_unnamed() {
    std::vector<FileDocument> kept;
    for (std::size_t i = 0; i < named_.size(); ++i) {
      const Named& named = named_[i];
      const bool is_named = !named.endpoint.empty() && (named.kind == DocumentKind::kEndpoint || !named.deployment.empty());
      if (is_named || named.kind == DocumentKind::kOther) kept.push_back(std::move(documents_.all[i]));
    }
    documents_.all = std::move(kept);
  }

  void refuse_unused_endpoints() {
    for (const auto& [name, endpoint] : overlays_.endpoints) {
      if (!endpoint.is_used) {
        findings_.mistake(endpoint.location, "no file describes an endpoint of this name; " + endpoints_there());
        continue;
      }
      for (const auto& [deployment, section] : endpoint.deployments) {
        if (section.is_used) continue;
        findings_.mistake(section.location, "the endpoint has no deployment of this name; " + deployments_there(name));
      }
    }
  }

  void refuse_unused_files() {
    for (const auto& [file, section] : overlays_.files) {
      if (section.is_used) continue;
      findings_.mistake(section.location,
                        shown_path(file) + " is not among the files of endpoints and deployments; " + files_there());
    }
  }

  static std::string listed(const std::set<std::string>& names) {
    constexpr std::size_t kShownMax = 10;
    if (names.empty()) return "there is none";
    std::string all = "there is ";
    std::size_t count = 0;
    for (const std::string& each : names) {
      if (count == kShownMax) return all + " and " + std::to_string(names.size() - kShownMax) + " more";
      all += (count++ == 0 ? "" : ", ") + shown_key(each);
    }
    return all;
  }

  std::string endpoints_there() const {
    std::set<std::string> names;
    for (const Named& each : named_) {
      if (each.kind == DocumentKind::kEndpoint) names.insert(each.spelled);
    }
    return listed(names);
  }

  std::string deployments_there(const std::string& endpoint) const {
    std::set<std::string> names;
    for (const Named& each : named_) {
      if (each.kind == DocumentKind::kDeployment && each.endpoint == endpoint) names.insert(each.spelled);
    }
    return listed(names);
  }

  std::string files_there() const {
    std::set<std::string> names;
    for (const FileDocument& each : documents_.all) names.insert(std::filesystem::path(each.file).filename().string());
    return listed(names);
  }

  Overlays& overlays_;
  FileDocuments& documents_;
  Findings& findings_;
  const Source source_;
  const std::string& endpoint_name_;
  std::map<std::string, std::size_t> documents_of_;  // of a file, by its absolute path
  std::vector<Named> named_;                         // one for each document
  std::map<std::string, Member> all_traffic_;        // by the endpoint's lower-case name
  bool names_are_known_ = true;
};

void read_document_file(const std::string& file, FileDocuments& into, Findings& findings) {
  const YamlFile found = read_yaml(file, findings);
  if (!found.complete) into.complete = false;
  for (const auto& value : found.documents) {
    if (value->kind == Kind::kMap) {
      into.all.push_back({file, value});
    } else {
      findings.mistake({file, value->line, ""}, "a map of keys is expected");
      into.complete = false;
    }
  }
}

}  // namespace

bool is_overlay(std::string_view file) {
  return std::any_of(kOverlayEndings.begin(), kOverlayEndings.end(), [file](const char* each) { return file.ends_with(each); });
}

FileDocuments read_documents(const std::vector<std::string>& files, Findings& findings, Source source,
                             const std::string& endpoint_name) {
  FileDocuments documents;
  Overlays overlays;
  for (const std::string& file : files) {
    if (!is_overlay(file)) read_document_file(file, documents, findings);
  }
  for (const std::string& file : files) {
    if (is_overlay(file)) read_overlay(file, overlays, findings, source);
  }
  if (!overlays.complete) documents.complete = false;
  Laying(overlays, documents, findings, source, endpoint_name).run();
  return documents;
}

}  // namespace router::config
