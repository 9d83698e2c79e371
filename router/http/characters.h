#pragma once

#include <array>
#include <cstddef>
#include <string_view>

#include "router/base/text.h"

/// Which characters are allowed where: one table for each rule, so that a check is one lookup per byte.
namespace router::http {

using CharacterSet = std::array<bool, 256>;

constexpr CharacterSet make_set(bool (*contains)(unsigned char)) {
  CharacterSet set{};
  for (std::size_t c = 0; c < set.size(); ++c) set[c] = contains(static_cast<unsigned char>(c));
  return set;
}
constexpr bool is_any_of(unsigned char c, std::string_view characters) {
  return characters.find(static_cast<char>(c)) != std::string_view::npos;
}

/// Methods and field names (RFC 9110, 5.6.2).
inline constexpr CharacterSet kToken =
    make_set([](unsigned char c) { return is_alphanumeric(static_cast<char>(c)) || is_any_of(c, "!#$%&'*+-.^_`|~"); });
/// Field values and reason phrases: visible characters, obs-text, space and tab (RFC 9110, 5.5).
inline constexpr CharacterSet kText = make_set([](unsigned char c) { return (c >= 0x20 && c != 0x7f) || c == '\t'; });
/// Request targets: visible ASCII. A fragment is never sent (RFC 9112, 3.2); quotes and angle brackets are not allowed in a
/// URI.
inline constexpr CharacterSet kTarget =
    make_set([](unsigned char c) { return c > 0x20 && c < 0x7f && !is_any_of(c, "#\"<>"); });
/// Host names. RFC 3986 also allows `,` `;` `=` and others in a reg-name. Real names do not have them, and in X-Forwarded-Host
/// or Forwarded they would look like separators of list elements.
inline constexpr CharacterSet kHostName =
    make_set([](unsigned char c) { return is_alphanumeric(static_cast<char>(c)) || is_any_of(c, "-._~%"); });
inline constexpr CharacterSet kDigits = make_set([](unsigned char c) { return c >= '0' && c <= '9'; });

constexpr bool consists_of(std::string_view text, const CharacterSet& set) {
  for (const char c : text) {
    if (!set[static_cast<unsigned char>(c)]) return false;
  }
  return true;
}

constexpr bool is_blank(char c) { return c == ' ' || c == '\t'; }

/// Removes the optional white space around a text (RFC 9110, 5.6.3: space and tab, nothing else).
constexpr std::string_view trim(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

}  // namespace router::http
