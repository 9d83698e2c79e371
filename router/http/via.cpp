#include "router/http/via.h"

#include "router/http/characters.h"

namespace router::http {
namespace {

/// The received-by part of `1.1 name (comment)`: its second word.
std::string_view received_by(std::string_view member) {
  constexpr std::string_view kBlanks = " \t";
  member = trim(member);
  const std::size_t protocol = member.find_first_of(kBlanks);
  if (protocol == std::string_view::npos) return {};
  member = trim(member.substr(protocol));
  return member.substr(0, member.find_first_of(kBlanks));
}

}  // namespace

bool Via::is_in(const Fields& fields) const {
  if (name_.empty() || !fields.has(Field::kVia)) return false;
  for (const FieldLine& line : fields) {
    if (line.id == Field::kVia && is_in(line.value)) return true;
  }
  return false;
}

/// A comma ends a member even inside a comment. At worst a request whose sender wrote this name into a comment is refused. But
/// a parenthesis opened by a client must not hide this router's own member.
bool Via::is_in(std::string_view list) const {
  for (;;) {
    const std::size_t comma = list.find(',');
    if (equals_ignoring_case(received_by(list.substr(0, comma)), name_)) return true;
    if (comma == std::string_view::npos) return false;
    list.remove_prefix(comma + 1);
  }
}

}  // namespace router::http
