#include "tests/support/growth.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json/parse.hpp>
#include <string>

#include "config/resource.h"
#include "config/yaml_document.h"
#include "config_folder.h"

/// Reading a file or a resource costs time in proportion to its bytes. Operators write the files, tenants the resources.
namespace router::config::test {
namespace {

namespace json = boost::json;
using router::test::growth;
using router::test::kLinear;

constexpr std::size_t kSize = 4 * 1024;

/// Repeats `line`, and replaces `#` in it by the number of the copy.
std::string numbered(const std::string& line, std::size_t bytes) {
  const std::size_t mark = line.find('#');
  std::string text;
  for (std::size_t i = 100'000; text.size() < bytes; ++i) {
    text += mark == line.npos ? line : line.substr(0, mark) + std::to_string(i) + line.substr(mark + 1);
  }
  return text;
}

TEST(GrowthOfYaml, IsThatOfItsBytes) {
  struct Shape {
    const char* before;
    const char* line;
    const char* after;
  };
  const Shape shapes[] = {
      {"", "key#: value\n", ""},
      {"", "same: value\n", ""},
      {"tags: {", "k#: v, ", "}\n"},
      {"tags: [", "'#', ", "]\n"},
      {"tags:\n", "  - a: #\n", ""},
      {"tags:\n", "  - &a# x\n", ""},
      {"x: &a y\ntags:\n", "  - *a\n", ""},
      {"tags:\n", "  - {<<: {a: 1}, b: 2}\n", ""},
      {"", "# a comment\n", "a: b\n"},
      {"text: \"", "words and \\n words ", "\"\n"},
      {"text: '", "words and '' words ", "'\n"},
      {"text: |\n", "  a line\n", ""},
      {"text: >\n", "  a line\n", ""},
      {"text: ", "words ", "\n"},
      {"", "---\na: b\n", ""},
      {"", "\n", "a: b\n"},
      {"a: ", " ", "b\n"},
  };
  const ConfigFolder folder;
  const YamlLimits limits{.nodes_max = 1'000'000};
  for (const Shape& shape : shapes) {
    const auto make = [&](std::size_t size) {
      const std::string file = "growth-" + std::to_string(size) + ".yml";
      folder.write(file, shape.before + numbered(shape.line, size) + shape.after);
      return folder.path(file);
    };
    const auto read = [&](const std::string& file) {
      Findings findings;
      read_yaml(file, findings, limits);
    };
    EXPECT_LT(growth(kSize, make, read), kLinear) << shape.before << shape.line;
  }
}

TEST(GrowthOfAResource, IsThatOfItsBytes) {
  const char* const shapes[][2] = {
      {R"("tags": {)", R"("k#": "v", )"},
      {R"("tags": {)", R"("same": "v", )"},
      {"", R"("unknown#": 1, )"},
      {R"("traffic": {)", R"("blue#": 0, )"},
      {R"("router": {"hostnames": [)", R"("a#.example", )"},
      {R"("router": {"hostnames": [)", R"("same.example", )"},
      {R"("router": {"replicas": [)", R"("10.0.0.1:5001", )"},
      {R"("router": {)", R"("unknown#": {}, )"},
      {R"("description": ")", R"(words \n )"},
      {R"("environment_variables": {)", R"("K#": {"a": [1, null, true]}, )"},
  };
  for (const auto& [before, member] : shapes) {
    const std::string opened = before;
    const auto make = [&, member = std::string(member)](std::size_t size) {
      std::string text = R"({"metadata": {"name": "my-endpoint", "namespace": "team-a"}, "spec": {"auth_mode": "key", )";
      text += opened + numbered(member, size);
      if (opened.ends_with("{") && member.find("\"") == 0) text += R"("last": 1)";
      if (opened.empty()) text += R"("last": 1)";
      if (opened.ends_with("[")) text += R"("10.0.0.2")";
      if (opened.ends_with("\"")) text += "\"";
      const auto count = [&](char c) { return std::count(opened.begin(), opened.end(), c); };
      text += std::string(static_cast<std::size_t>(count('[')), ']') + std::string(static_cast<std::size_t>(count('{')), '}');
      return text + "}}";
    };
    const auto read = [](const std::string& text) {
      const json::object object = json::parse(text).as_object();
      Findings findings;
      read_endpoint_resource(object, findings);
      read_deployment_resource(object, findings);
    };
    EXPECT_LT(growth(kSize, make, read), kLinear) << before << member;
  }
}

}  // namespace
}  // namespace router::config::test
