#include "config/outline.h"

#include <array>
#include <utility>

#include "config/azureml.h"
#include "config/router_yaml.h"

namespace router::config {
namespace {

using Kind = Outline::Field::Kind;

constexpr std::size_t kLocationsMax = 4;  // more would not help
constexpr std::pair<Described, const char*> kDocuments[] = {
    {Described::kDeployment, "a deployment"}, {Described::kEndpoint, "an endpoint"}, {Described::kRouterYaml, "router.yaml"}};

/// Runs the reader of the document without a document, and records what it asks for.
Outline record(Described what, Source source) {
  Outline outline;
  Findings findings;  // mistakes about missing keys; not used
  MapReader nothing = MapReader::outlining(outline, findings, source);
  switch (what) {
    case Described::kRouterYaml: read_process(nothing); break;
    case Described::kEndpoint: read_endpoint(nothing); break;
    case Described::kDeployment: read_deployment(nothing); break;
    case Described::kUnknown: break;
  }
  return outline;
}

void find_locations(const Outline& outline, const std::string& key, const std::string& path, std::vector<std::string>& found) {
  for (const auto& [name, field] : outline.fields) {
    if (name == Outline::kAnyName || field.kind == Kind::kRefused) continue;
    const std::string here = path + name;
    if (name == key) found.push_back(here);
    if (field.inner != nullptr) find_locations(*field.inner, key, here + (field.kind == Kind::kMaps ? "[]." : "."), found);
  }
}

std::vector<std::string> locations_in(Described what, Source source, const std::string& key) {
  std::vector<std::string> found;
  find_locations(outline_of(what, source), key, "", found);
  for (std::string& each : found) each.insert(0, 1, '`').push_back('`');
  return found;
}

std::string told(const std::vector<std::string>& locations) {
  if (locations.empty() || locations.size() > kLocationsMax) return {};
  std::string text = "it belongs at " + locations.front();
  for (std::size_t i = 1; i < locations.size(); ++i) text += (i + 1 == locations.size() ? " or " : ", ") + locations[i];
  return text;
}

}  // namespace

const Outline& outline_of(Described what, Source source) {
  using Both = std::array<Outline, 2>;
  const auto both = [](Described of) { return Both{record(of, Source::kFile), record(of, Source::kResource)}; };
  static const Both router_yaml = both(Described::kRouterYaml);
  static const Both endpoint = both(Described::kEndpoint);
  static const Both deployment = both(Described::kDeployment);
  static const Both unknown;
  const Both& found = what == Described::kRouterYaml   ? router_yaml
                      : what == Described::kEndpoint   ? endpoint
                      : what == Described::kDeployment ? deployment
                                                       : unknown;
  return found[source == Source::kFile ? 0 : 1];
}

std::string where_known(const std::string& key, Described what, Source source) {
  const std::vector<std::string> here = locations_in(what, source, key);
  if (!here.empty()) return told(here);
  std::vector<std::string> elsewhere;
  for (const auto& [other, name] : kDocuments) {
    if (source == Source::kResource && other == Described::kRouterYaml) continue;
    for (const std::string& location : locations_in(other, source, key)) elsewhere.push_back(location + " of " + name);
  }
  return told(elsewhere);
}

bool is_key_of_router(const std::string& key, Described what) {
  const auto& fields = outline_of(what, Source::kFile).fields.at("router").inner->fields;
  const auto found = fields.find(key);
  return found != fields.end() && found->second.kind != Kind::kRefused;
}

}  // namespace router::config
