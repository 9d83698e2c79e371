#include "config/resource.h"

#include <boost/json/value.hpp>
#include <charconv>

namespace router::config {
namespace {

namespace json = boost::json;
using Kind = YamlValue::Kind;

template <class Number>
std::string text_of_number(Number number) {
  char digits[32];  // the shortest text that parses to the same number; a double needs 24
  return {digits, std::to_chars(digits, digits + sizeof digits, number).ptr};
}

/// Builds the tree. `build` returns false if a limit is exceeded, and `why` names the limit.
class TreeBuilder {
 public:
  explicit TreeBuilder(const YamlLimits& limits) : limits_(limits) {}

  bool build(const json::value& from, std::size_t depth, YamlValue& into) {
    if (++nodes_ > limits_.nodes_max) return refuse("more than " + std::to_string(limits_.nodes_max) + " values");
    switch (from.kind()) {
      case json::kind::null: into.kind = Kind::kNull; return true;
      case json::kind::object: return build_map(from.get_object(), depth, into);
      case json::kind::array: return build_sequence(from.get_array(), depth, into);
      case json::kind::string: return build_scalar(std::string(from.get_string()), into);
      case json::kind::bool_: return build_scalar(from.get_bool() ? "true" : "false", into);
      case json::kind::int64: return build_scalar(text_of_number(from.get_int64()), into);
      case json::kind::uint64: return build_scalar(text_of_number(from.get_uint64()), into);
      case json::kind::double_: return build_scalar(text_of_number(from.get_double()), into);
    }
    return false;
  }
  const std::string& why() const { return why_; }

 private:
  bool refuse(std::string why) {
    why_ = std::move(why);
    return false;
  }

  bool build_scalar(std::string text, YamlValue& into) {
    into.kind = Kind::kScalar;
    into.scalar = std::move(text);
    return true;
  }

  bool descend(std::size_t depth) {
    return depth < limits_.depth_max || refuse("nested deeper than " + std::to_string(limits_.depth_max) + " levels");
  }

  bool build_map(const json::object& from, std::size_t depth, YamlValue& into) {
    into.kind = Kind::kMap;
    if (!descend(depth)) return false;
    for (const auto& [key, value] : from) {
      auto built = std::make_shared<YamlValue>();
      if (!build(value, depth + 1, *built)) return false;
      into.members.push_back({std::string(key), 0, std::move(built)});
    }
    return true;
  }

  bool build_sequence(const json::array& from, std::size_t depth, YamlValue& into) {
    into.kind = Kind::kSequence;
    if (!descend(depth)) return false;
    for (const json::value& value : from) {
      auto built = std::make_shared<YamlValue>();
      if (!build(value, depth + 1, *built)) return false;
      into.items.push_back(std::move(built));
    }
    return true;
  }

  const YamlLimits& limits_;
  std::size_t nodes_ = 0;
  std::string why_;
};

std::string text_at(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : "";
}

/// The parts of an object that the readers get: its spec, and the name and namespace of its metadata.
class ResourceReader {
 public:
  ResourceReader(const char* kind, const json::object& object, Findings& findings) : findings_(findings) {
    if (const json::value* metadata = object.if_contains("metadata"); metadata != nullptr && metadata->is_object()) {
      name_ = text_at(metadata->get_object(), "name");
      namespace_name_ = text_at(metadata->get_object(), "namespace");
    }
    location_.file = std::string(kind) + " " + shown_key(namespace_name_) + "/" + shown_message(name_);
    if (namespace_name_.empty()) findings.mistake(at("metadata.namespace"), "is missing");
    read_spec(object);
  }

  /// Empty if there is no readable spec.
  std::optional<MapReader> spec() const {
    if (spec_ == nullptr) return std::nullopt;
    return MapReader(location_.file, *spec_, "spec", findings_, Source::kResource);
  }
  const std::string& name() const { return name_; }
  const std::string& namespace_name() const { return namespace_name_; }
  const std::string& file() const { return location_.file; }
  Location at(const char* path) const { return {location_.file, 0, path}; }

 private:
  void read_spec(const json::object& object) {
    const json::value* spec = object.if_contains("spec");
    if (spec == nullptr || !spec->is_object()) return findings_.mistake(at("spec"), "is missing; a map of keys is expected");
    spec_ = to_yaml_value(*spec, at("spec"), findings_);
  }

  Findings& findings_;
  Location location_;
  std::string name_;
  std::string namespace_name_;
  std::shared_ptr<const YamlValue> spec_;
};

/// The endpoint's name is the name of its resource. `spec.name` may be present, as in a file, but must be the same (without
/// case).
void settle_name(const ResourceReader& resource, EndpointDocument& document, Findings& findings) {
  Endpoint& endpoint = document.endpoint;
  const std::string in_spec = std::exchange(endpoint.name, resource.name());
  if (!in_spec.empty() && lower_case(in_spec) != lower_case(resource.name())) {
    findings.mistake(document.name, shown(in_spec) + " is not the name of the resource, " + shown(resource.name()));
  }
  document.name = resource.at("metadata.name");
  check_name(resource.name(), document.name, findings);
}

}  // namespace

std::shared_ptr<const YamlValue> to_yaml_value(const json::value& value, const Location& location, Findings& findings,
                                               const YamlLimits& limits) {
  TreeBuilder builder(limits);
  auto tree = std::make_shared<YamlValue>();
  if (builder.build(value, 0, *tree)) return tree;
  findings.mistake(location, builder.why());
  return nullptr;
}

std::string default_service_name(const std::string& endpoint, const std::string& deployment) {
  return lower_case(endpoint + "-" + deployment);
}

EndpointDocument read_endpoint_resource(const json::object& object, Findings& findings) {
  const ResourceReader resource("OnlineEndpoint", object, findings);
  const std::optional<MapReader> spec = resource.spec();
  EndpointDocument document = spec ? read_endpoint(*spec) : EndpointDocument{};
  Endpoint& endpoint = document.endpoint;
  endpoint.file = resource.file();
  endpoint.namespace_name = resource.namespace_name();
  settle_name(resource, document, findings);
  if (endpoint.keys_secret.empty()) endpoint.keys_secret = lower_case(endpoint.name) + "-keys";
  return document;
}

DeploymentDocument read_deployment_resource(const json::object& object, Findings& findings) {
  const ResourceReader resource("OnlineDeployment", object, findings);
  const std::optional<MapReader> spec = resource.spec();
  DeploymentDocument document = spec ? read_deployment(*spec) : DeploymentDocument{};
  Deployment& deployment = document.deployment;
  deployment.file = resource.file();
  deployment.namespace_name = resource.namespace_name();
  ServiceReference& service = deployment.service;
  if (service.name.empty()) service.name = default_service_name(deployment.endpoint_name, deployment.name);
  ScaleTarget& target = deployment.scaling.target;
  if (target.name.empty()) target.name = default_service_name(deployment.endpoint_name, deployment.name);
  if (service.port.empty()) service.port = std::to_string(deployment.scoring_route.port);
  return document;
}

}  // namespace router::config
