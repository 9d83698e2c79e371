#include "config/schema.h"

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include "config/outline.h"
#include "config/overlay.h"

namespace router::config {
namespace {

namespace json = boost::json;
using Field = Outline::Field;
using Kind = Field::Kind;

// In a file, every scalar may name an environment variable, and numbers and flags may be quoted. In a resource, neither is
// allowed.
constexpr const char* kVariable = "\\$\\{[A-Za-z_][A-Za-z0-9_]*\\}";

json::object any_of(std::initializer_list<json::value_ref> alternatives) { return {{"anyOf", json::array(alternatives)}}; }
json::object text_like(std::string pattern) { return {{"type", "string"}, {"pattern", std::move(pattern)}}; }

/// A pattern that matches the word in any case, as the readers do.
std::string in_any_case(const std::string& word) {
  std::string pattern;
  for (const char c : word) {
    const bool is_lower = c >= 'a' && c <= 'z';
    const bool is_upper = c >= 'A' && c <= 'Z';
    const char other = static_cast<char>(c ^ 0x20);
    if (is_lower || is_upper) {
      pattern += std::string("[") + c + other + "]";
    } else {
      pattern += c == '.' ? "\\." : std::string(1, c);
    }
  }
  return pattern;
}

std::string one_of_in_any_case(const std::vector<std::string>& words, Source source) {
  std::string pattern;
  for (const std::string& each : words) pattern += (pattern.empty() ? "^(" : "|") + in_any_case(each);
  return pattern + ")$" + (source == Source::kFile ? std::string("|") + kVariable : "");
}

json::object text(bool required) {
  json::object schema{{"type", {"string", "number", "boolean"}}};
  if (required) schema["minLength"] = 1;
  return schema;
}

json::object number(const Field& field, Source source) {
  json::object bare{{"type", "integer"}, {"minimum", field.range.least}, {"maximum", field.range.most}};
  json::object schema = std::move(bare);
  if (source == Source::kFile) schema = any_of({std::move(schema), text_like(std::string("^-?[0-9]+$|") + kVariable)});
  if (*field.range.unit != '\0') schema["description"] = std::string("in ") + field.range.unit;
  if (!field.initial.empty()) schema["default"] = std::stoll(field.initial);
  return schema;
}

json::object flag(const Field& field, Source source) {
  json::object schema{{"type", "boolean"}};
  const std::vector<std::string> spelled = {"true", "false", "yes", "no", "on", "off"};
  if (source == Source::kFile) schema = any_of({std::move(schema), text_like(one_of_in_any_case(spelled, source))});
  if (!field.initial.empty()) schema["default"] = field.initial == "true";
  return schema;
}

json::object word(const Field& field, Source source) {
  json::array words;
  json::array numbers;  // `minimum_version: 1.2` without quotes is a number
  for (const std::string& each : field.words) {
    words.emplace_back(each);
    if (each == "false") words.emplace_back(false);  // the word `off`, as YAML 1.1 reads it
    if (each.find_first_not_of("0123456789.") == each.npos) numbers.emplace_back(std::stod(each));
  }
  json::object schema = any_of({json::object{{"enum", std::move(words)}}, text_like(one_of_in_any_case(field.words, source))});
  if (!numbers.empty()) schema["anyOf"].get_array().push_back(json::object{{"enum", std::move(numbers)}});
  return schema;
}

json::object map_of(const Outline& outline, Source source);

json::object list_of(json::object item, bool required) {
  json::object schema{{"type", "array"}, {"items", std::move(item)}};
  if (required) schema["minItems"] = 1;
  return schema;
}

json::object schema_of(const Field& field, Source source) {
  switch (field.kind) {
    case Kind::kUnused: return {{"description", "known, and without effect on the router"}};
    case Kind::kText: return text(field.required);
    case Kind::kNumber: return number(field, source);
    case Kind::kFlag: return flag(field, source);
    case Kind::kWord: return word(field, source);
    case Kind::kMap:
      return field.or_text ? any_of({json::object{{"type", "string"}}, map_of(*field.inner, source)})
                           : map_of(*field.inner, source);
    case Kind::kMaps: return list_of(map_of(*field.inner, source), field.required);
    case Kind::kTexts: return list_of(text(true), field.required);
    case Kind::kTextMap:
      return {{"type", "object"}, {"additionalProperties", {{"type", {"string", "number", "boolean", "null"}}}}};
    case Kind::kRefused: break;
  }
  return {};
}

json::object map_of(const Outline& outline, Source source) {
  json::object properties;
  json::array required;
  json::object schema{{"type", "object"}, {"additionalProperties", false}};
  for (const auto& [name, field] : outline.fields) {
    if (field.kind == Kind::kRefused) continue;
    if (name == Outline::kAnyName) {
      schema["additionalProperties"] = schema_of(field, source);
      continue;
    }
    properties[name] = schema_of(field, source);
    if (field.required) required.emplace_back(name);
  }
  if (!properties.empty()) schema["properties"] = std::move(properties);
  if (!required.empty()) schema["required"] = std::move(required);
  return schema;
}

/// A map of maps whose names the file chooses.
json::object by_name(json::object each) { return {{"type", "object"}, {"additionalProperties", std::move(each)}}; }

json::object overlay() {
  const Outline& endpoint = outline_of(Described::kEndpoint, Source::kFile);
  const Outline& deployment = outline_of(Described::kDeployment, Source::kFile);
  json::object section = map_of(*endpoint.fields.at("router").inner, Source::kFile);
  json::object& keys = section["properties"].get_object();
  for (const char* key : {"traffic", "mirror_traffic"}) keys[key] = schema_of(endpoint.fields.at(key), Source::kFile);
  keys["deployments"] = by_name(map_of(*deployment.fields.at("router").inner, Source::kFile));
  json::object file{{"type", "object"}, {"additionalProperties", false}};
  file["properties"] = {{"name", text(true)}, {"endpoint_name", text(true)}, {"all_traffic", flag({}, Source::kFile)}};
  json::object both{{"endpoints", by_name(std::move(section))}, {"files", by_name(std::move(file))}};
  return {{"type", "object"}, {"additionalProperties", false}, {"properties", std::move(both)}};
}

/// For a file whose name may come from an overlay.
json::object without_names(json::object schema) {
  schema.erase("required");
  return schema;
}

json::object resource(const char* kind, Described what) {
  json::object names{{"name", {{"type", "string"}}}, {"namespace", {{"type", "string"}}}};
  json::object properties{
      {"apiVersion", {{"type", "string"}, {"pattern", "^inference-router\\.dev/"}}},
      {"kind", {{"const", kind}}},
      {"metadata", {{"type", "object"}, {"properties", std::move(names)}, {"required", json::array{"name"}}}},
      {"spec", map_of(outline_of(what, Source::kResource), Source::kResource)},
      {"status", {{"type", "object"}}}};
  return {{"type", "object"},
          {"additionalProperties", false},
          {"properties", std::move(properties)},
          {"required", {"apiVersion", "kind", "metadata", "spec"}}};
}

struct Named {
  const char* name;
  const char* title;
  json::object (*make)();
};
const Named kSchemas[] = {
    {"router", "router.yaml of inference-router",
     [] { return map_of(outline_of(Described::kRouterYaml, Source::kFile), Source::kFile); }},
    {"overlay", "an overlay (*.overlay.yml) of inference-router", overlay},
    {"endpoint", "an online endpoint of Azure ML as inference-router reads it",
     [] { return without_names(map_of(outline_of(Described::kEndpoint, Source::kFile), Source::kFile)); }},
    {"deployment", "an online deployment of Azure ML as inference-router reads it",
     [] { return without_names(map_of(outline_of(Described::kDeployment, Source::kFile), Source::kFile)); }},
    {"OnlineEndpoint", "a resource of Kubernetes", [] { return resource("OnlineEndpoint", Described::kEndpoint); }},
    {"OnlineDeployment", "a resource of Kubernetes", [] { return resource("OnlineDeployment", Described::kDeployment); }},
};

bool is_short(const json::value& value) { return json::serialize(value).size() <= 80; }

/// Prints with indentation; a short value stays on one line.
void print(const json::value& value, const std::string& indentation, std::string& into) {
  const bool is_map = value.is_object();
  if (is_short(value) || (!is_map && !value.is_array())) {
    into += json::serialize(value);
    return;
  }
  const std::string inner = indentation + "  ";
  std::string separator = is_map ? "{\n" : "[\n";
  const auto print_one = [&](const std::string& key, const json::value& each) {
    into += std::exchange(separator, ",\n") + inner + key;
    print(each, inner, into);
  };
  if (is_map) {
    for (const auto& [key, each] : value.get_object()) print_one(json::serialize(json::value(key)) + ": ", each);
  } else {
    for (const json::value& each : value.get_array()) print_one("", each);
  }
  into += "\n" + indentation + (is_map ? "}" : "]");
}

}  // namespace

std::optional<std::string> json_schema(std::string_view name) {
  for (const Named& each : kSchemas) {
    if (name != each.name) continue;
    json::object schema{{"$schema", "http://json-schema.org/draft-07/schema#"}, {"title", each.title}};
    for (auto& [key, value] : each.make()) schema[key] = std::move(value);
    std::string text;
    print(schema, "", text);
    return text + "\n";
  }
  return std::nullopt;
}

std::vector<std::string> schema_names() {
  std::vector<std::string> names;
  for (const Named& each : kSchemas) names.emplace_back(each.name);
  return names;
}

}  // namespace router::config
