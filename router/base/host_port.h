#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

/// Splits and joins an authority: `host`, `host:port`, `[v6]`, `[v6]:port` (RFC 3986, 3.2.2 and 3.2.3).
namespace router {

/// Views of the text that was split. The caller checks whether the host is valid. A host without brackets contains no colon.
struct HostPort {
  std::string_view host;                 // without brackets
  std::string_view written;              // the host as written, with its brackets if it has them
  std::optional<std::string_view> port;  // the text after the colon, perhaps empty

  bool bracketed() const { return host.size() != written.size(); }
};

/// Splits after the closing bracket or at the first colon. Returns nothing if a bracket is not closed or if anything but a
/// colon follows it. Allocates nothing. Inline, because each request splits its `Host` twice.
inline std::optional<HostPort> split_host_port(std::string_view text) {
  HostPort parts;
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos) return std::nullopt;
    parts.host = text.substr(1, end - 1);
    parts.written = text.substr(0, end + 1);
  } else {
    parts.host = parts.written = text.substr(0, text.find(':'));
  }
  const std::string_view rest = text.substr(parts.written.size());
  if (rest.empty()) return parts;
  if (rest.front() != ':') return std::nullopt;
  parts.port = rest.substr(1);
  return parts;
}

/// The value of a port that is written in digits only, 0 to 65535; otherwise nothing.
std::optional<std::uint16_t> port_number(std::string_view digits);

/// Whether `text` has the form of a port in a URI: at most five digits, perhaps none.
inline bool is_port_text(std::string_view text) {
  constexpr std::size_t kDigitsMax = 5;
  return text.size() <= kDigitsMax && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

/// `host`, in brackets if it contains a colon (an IPv6 address).
std::string bracketed_host(std::string_view host);
/// `host:port` or `[v6]:port`.
std::string join_host_port(std::string_view host, std::uint16_t port);

}  // namespace router
