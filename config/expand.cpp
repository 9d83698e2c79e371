#include "config/expand.h"

#include <algorithm>
#include <cstdlib>

#include "config/findings.h"

namespace router::config {
namespace {

bool is_variable_name(std::string_view name) {
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  const auto is_allowed = [is_letter](char c) { return is_letter(c) || (c >= '0' && c <= '9'); };
  return !name.empty() && is_letter(name.front()) && std::all_of(name.begin(), name.end(), is_allowed);
}

}  // namespace

Expanded expand(std::string_view text) {
  Expanded result;
  while (!text.empty()) {
    const std::size_t dollar = std::min(text.find('$'), text.size());
    result.text += text.substr(0, dollar);
    text.remove_prefix(dollar);
    if (text.starts_with("$$")) {
      result.text += '$';
      text.remove_prefix(2);
    } else if (text.starts_with("${")) {
      const std::size_t end = text.find('}');
      const std::string name(text.substr(2, end == text.npos ? end : end - 2));
      if (end == text.npos || !is_variable_name(name)) {
        result.mistake = shown(text.substr(0, end)) + " is not ${NAME} of an environment variable; write $$ for a dollar sign";
        return result;
      }
      const char* value = std::getenv(name.c_str());
      if (value == nullptr) {
        result.mistake = "the environment variable " + name + " is not set; write $$ for a dollar sign";
        return result;
      }
      result.text += value;
      text.remove_prefix(end + 1);
    } else if (!text.empty()) {
      result.text += text.front();
      text.remove_prefix(1);
    }
  }
  return result;
}

}  // namespace router::config
