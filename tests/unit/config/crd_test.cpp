#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json/object.hpp>
#include <regex>
#include <set>

#include "config/resource.h"

/// Compares the schemas in charts/inference-router/files/crds with the readers: both must know the same keys, ranges and words.
/// The test walks through the schemas. It learns what a reader knows from the reader's message about a wrong value.
namespace router::config::test {
namespace {

namespace json = boost::json;
using Path = std::vector<std::string>;
using testing::HasSubstr;

const YamlValue* find(const YamlValue& map, const std::string& key) {
  for (const YamlValue::Member& each : map.members) {
    if (each.key == key) return each.value.get();
  }
  return nullptr;
}
std::string scalar(const YamlValue& map, const std::string& key) {
  const YamlValue* value = find(map, key);
  return value == nullptr ? "" : value->scalar;
}

class Crd {
 public:
  Crd(const std::string& file, bool is_endpoint) : is_endpoint_(is_endpoint) {
    Findings findings;
    file_ = read_yaml(std::string(CRDS "/") + file, findings);
    EXPECT_EQ(findings.mistakes(), "");
    const YamlValue* schema = find(*find(*file_.documents.at(0), "spec"), "versions")->items.at(0).get();
    for (const char* key : {"schema", "openAPIV3Schema", "properties", "spec"}) schema = find(*schema, key);
    spec_ = schema;
  }
  const YamlValue& spec() const { return *spec_; }

  /// The reader's message about a spec that is valid except for `value` at `path`.
  std::string told(const Path& path, json::value value) const {
    json::object spec;
    if (!is_endpoint_) spec = {{"name", "blue"}, {"endpoint_name", "my-endpoint"}};
    json::object* inner = &spec;
    for (std::size_t i = 0; i + 1 < path.size(); ++i) inner = &(*inner)[path[i]].emplace_object();
    (*inner)[path.back()] = std::move(value);
    const json::object object{{"metadata", {{"name", "my-endpoint"}, {"namespace", "team-a"}}}, {"spec", std::move(spec)}};
    Findings findings;
    is_endpoint_ ? static_cast<void>(read_endpoint_resource(object, findings))
                 : static_cast<void>(read_deployment_resource(object, findings));
    return findings.mistakes();
  }

 private:
  bool is_endpoint_;
  YamlFile file_;
  const YamlValue* spec_ = nullptr;
};

std::string text_of(const Path& path) {
  std::string text = "spec";
  for (const std::string& each : path) text += "." + each;
  return text;
}
Path operator+(Path path, const std::string& key) {
  path.push_back(key);
  return path;
}

/// The list of words at the end of a message.
std::set<std::string> words_after(const std::string& told, const std::string& words) {
  const std::size_t at = told.find(words);
  if (at == told.npos) return {};
  std::set<std::string> all;
  std::string rest = told.substr(at + words.size());
  rest = rest.substr(0, rest.find('\n'));
  for (std::size_t begin = 0; begin <= rest.size();) {
    const std::size_t end = std::min(rest.find(", ", begin), rest.size());
    all.insert(rest.substr(begin, end - begin));
    begin = end + 2;
  }
  return all;
}

std::string in_upper_case(std::string text) {
  for (char& c : text) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return text;
}

void check_leaf(const Crd& crd, const YamlValue& schema, const Path& path) {
  EXPECT_THAT(crd.told(path, json::object{{"zz", 1}}), testing::Not(HasSubstr(".zz: unknown key")))
      << "the reader knows keys of " << text_of(path) << ", the schema does not";
  const std::string told = crd.told(path, "?");
  const std::string type = scalar(schema, "type");
  const std::string range = "is not a whole number from " + scalar(schema, "minimum") + " to " + scalar(schema, "maximum");
  EXPECT_EQ(type == "integer", told.find("whole number from") != told.npos) << told;
  if (type == "integer") {
    EXPECT_THAT(told, testing::ContainsRegex(range + "( |$)"));
  }
  EXPECT_EQ(type == "boolean", told.find("neither true nor false") != told.npos) << text_of(path) << told;
  for (const std::string& word : words_after(told, "is not one of: ")) {
    const std::regex pattern(scalar(schema, "pattern"));
    EXPECT_TRUE(std::regex_match(word, pattern) && std::regex_match(lower_case(word), pattern) &&
                std::regex_match(in_upper_case(word), pattern))
        << text_of(path) << ": " << word;
    EXPECT_FALSE(std::regex_match(word + "x", pattern) || std::regex_match("x" + word, pattern))
        << text_of(path) << ": " << word;
  }
}

/// Returns the number of maps of keys that it found.
int check(const Crd& crd, const YamlValue& schema, const Path& path) {
  if (const YamlValue* each = find(schema, "additionalProperties")) return check(crd, *each, path + "some");
  const YamlValue* properties = find(schema, "properties");
  if (properties == nullptr) return check_leaf(crd, schema, path), 0;
  std::set<std::string> in_schema;
  for (const YamlValue::Member& each : properties->members) in_schema.insert(each.key);
  const std::string told = crd.told(path + "zz", 1);
  EXPECT_EQ(words_after(told, text_of(path) + ".zz: unknown key; known here: "), in_schema) << told;
  int maps = 1;
  for (const YamlValue::Member& each : properties->members) maps += check(crd, *each.value, path + each.key);
  return maps;
}

TEST(Crd, OfEndpointsKnowsWhatTheReadersKnow) {
  const Crd crd("onlineendpoints.yaml", true);
  EXPECT_EQ(check(crd, crd.spec(), {}), 4);  // spec, identity, router, keys
}

TEST(Crd, OfDeploymentsKnowsWhatTheReadersKnow) {
  const Crd crd("onlinedeployments.yaml", false);
  EXPECT_GE(check(crd, crd.spec(), {}), 16);
}

}  // namespace
}  // namespace router::config::test
