#include "config/slips.h"

#include <algorithm>

#include "config/findings.h"

namespace router::config {

std::string placeholder_in(std::string_view text) {
  const std::size_t begin = text.find("{{");
  const std::size_t end = text.find("}}", begin);
  if (begin != text.npos && end != text.npos) return std::string(text.substr(begin, end + 2 - begin));
  const bool in_brackets = text.size() > 2 && text.front() == '<' && text.back() == '>';
  return in_brackets && text.find_first_of("<>", 1) == text.size() - 1 ? std::string(text) : "";
}

std::string describe_slip(std::string_view line) {
  const std::string_view indentation = line.substr(0, std::min(line.find_first_not_of(" \t"), line.size()));
  if (indentation.find('\t') != line.npos) return "a tab stands in the indentation; YAML is indented by spaces alone";
  const std::string placeholder = placeholder_in(line);
  if (placeholder.empty()) return {};
  const bool is_template = placeholder.starts_with("{{-") || placeholder.find_first_not_of("{ ") == placeholder.find('.');
  return is_template ? shown(placeholder) + " belongs to a template, such as Helm's; the rendered file is expected"
                     : "the placeholder " + shown(placeholder) + " has not been replaced by a value";
}

}  // namespace router::config
