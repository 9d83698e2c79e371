#include "router/http/characters.h"
#include "router/http/head.h"
#include "router/http/known_fields.h"

namespace router::http {
namespace {

/// Parses `NAME: VALUE`, as strictly as in a head.
bool parse_field_line(std::string_view line, Fields& into, Blanks before_colon) {
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos || colon == 0) return false;
  std::string_view name = line.substr(0, colon);
  while (before_colon == Blanks::kDropped && !name.empty() && is_blank(name.back())) name.remove_suffix(1);
  if (name.empty() || into.size() == Fields::kUsual) return false;
  const std::string_view value = trim(line.substr(colon + 1));
  if (!consists_of(name, kToken) || !consists_of(value, kText)) return false;
  into.add({name, value, identify(name)});
  return true;
}

}  // namespace

bool parse_trailer_fields(std::string_view section, Fields& into, Blanks before_colon) {
  into.clear();
  for (;;) {
    const std::size_t end = section.find("\r\n");
    if (end == std::string_view::npos) return false;
    if (end == 0) return section.size() == 2;
    if (!parse_field_line(section.substr(0, end), into, before_colon)) return false;
    section.remove_prefix(end + 2);
  }
}

}  // namespace router::http
