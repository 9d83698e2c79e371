#include <algorithm>
#include <boost/json/parse.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "config/addresses.h"
#include "config/resource.h"
#include "router/convert/convert.h"
#include "router/convert/yaml_text.h"
#include "tests/fuzz/support.h"

/// Input of tenants: objects as an API server sends them, and files that become such objects. Whatever they contain, accepted
/// objects name no file or address of the router's own, messages are bounded, and the readers accept the YAML that `convert`
/// prints.
namespace router {
namespace {

using config::Findings;
using config::MapReader;
using config::YamlValue;
using fuzz::require;

void require_shown(const std::string& text) {
  require(std::none_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte < ' ' && c != '\n') || byte == 0x7f;
  }));
}

/// Returns whether the object was accepted.
bool check(const Findings& findings) {
  const std::string brief = findings.brief();
  require(brief.size() <= Findings::kBriefBytes && brief.empty() != findings.has_mistakes());
  require(brief.find('\n') == std::string::npos);
  require_shown(brief);
  require_shown(findings.mistakes());
  return !findings.has_mistakes();
}

void read_as_resource(std::string_view text) {
  boost::system::error_code error;
  boost::json::parse_options options;
  options.max_depth = 256;
  const boost::json::value value = boost::json::parse({text.data(), text.size()}, error, {}, options);
  if (error || !value.is_object()) return;

  Findings of_endpoint;
  const config::Endpoint endpoint = read_endpoint_resource(value.get_object(), of_endpoint).endpoint;
  if (check(of_endpoint)) {
    require(!endpoint.namespace_name.empty() && endpoint.primary_key_file.empty() && endpoint.secondary_key_file.empty());
    require(config::is_dns_subdomain(endpoint.keys_secret));
  }
  Findings of_deployment;
  const config::Deployment deployment = read_deployment_resource(value.get_object(), of_deployment).deployment;
  if (check(of_deployment)) {
    require(!deployment.namespace_name.empty() && deployment.replicas.empty() &&
            (!deployment.tls || deployment.tls->ca_file.empty()));
    require(config::is_dns_label(deployment.service.name) && !deployment.service.port.empty());
    const boost::json::value* router = value.at("spec").as_object().if_contains("router");
    const bool names_service = router != nullptr && router->as_object().contains("service");
    require(!deployment.adopt_azureml_pods || !names_service);
  }
}

/// Checks one of the documents that `convert` has printed.
void require_taken(const std::string& file, const YamlValue& document) {
  const YamlValue* kind = convert::find(document, {"kind"});
  const YamlValue* spec = convert::find(document, {"spec"});
  require(kind != nullptr && spec != nullptr);
  require(convert::find(document, {"metadata", "namespace"})->scalar == "some-namespace");
  Findings findings;
  const MapReader reader(file, *spec, "", findings, config::Source::kResource);
  if (kind->scalar == "OnlineEndpoint") {
    read_endpoint(reader);
  } else if (kind->scalar == "OnlineDeployment") {
    read_deployment(reader);
  } else {
    require(kind->scalar == "Deployment" || kind->scalar == "Service");
  }
  require(!findings.has_mistakes());
}

void convert_file(std::string_view text) {
  static fuzz::MemoryFile file;
  static fuzz::MemoryFile printed;
  file.write(text);
  const absl::StatusOr<convert::Converted> converted =
      convert::convert({.files = {file.path()}, .namespace_name = "some-namespace", .endpoint_name = ""});
  if (!converted.ok()) return require_shown(std::string(converted.status().message()));
  require_shown(converted->text);
  if (converted->text.empty()) return;
  printed.write(converted->text);
  Findings findings;
  const config::YamlLimits limits{.bytes_max = 64 << 20, .depth_max = 80, .nodes_max = 1 << 20};
  const config::YamlFile found = read_yaml(printed.path(), findings, limits);
  require(found.complete && !findings.has_mistakes() && !found.documents.empty());
  for (const auto& document : found.documents) require_taken(printed.path(), *document);
}

}  // namespace
}  // namespace router

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = router::fuzz::text_of(data, size);
  router::read_as_resource(text);
  router::convert_file(text);
  return 0;
}
