#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

/// `host`, `host:port`, `[v6]`, `[v6]:port`: how an authority is cut apart and put together (RFC 3986, 3.2.2 and 3.2.3).
namespace router {

/// Views of the text that was cut. What stands in the host is the caller's to judge; one without brackets has no colon.
struct HostPort {
  std::string_view host;                 // without brackets
  std::string_view written;              // as it stood there, in brackets if it had them
  std::optional<std::string_view> port;  // what stands behind the colon, which may be nothing

  bool bracketed() const { return host.size() != written.size(); }
};

/// Cuts at the bracket's end or at the first colon. Nothing if a bracket is not closed or something else than a colon follows
/// it. Allocates nothing. Inline: each request's `Host` is cut twice.
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

/// Digits alone, 0 to 65535.
std::optional<std::uint16_t> port_number(std::string_view digits);

/// What a URI allows as a port: up to five digits, or none.
inline bool is_port_text(std::string_view text) {
  constexpr std::size_t kDigitsMax = 5;
  return text.size() <= kDigitsMax && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

/// In brackets if it is an IPv6 address, which is known by its colons.
std::string bracketed_host(std::string_view host);
/// `host:port` or `[v6]:port`.
std::string join_host_port(std::string_view host, std::uint16_t port);

}  // namespace router
