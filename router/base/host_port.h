#pragma once

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
/// it. Allocates nothing.
std::optional<HostPort> split_host_port(std::string_view text);

/// Digits alone, 0 to 65535.
std::optional<std::uint16_t> port_number(std::string_view digits);

/// What a URI allows as a port: up to five digits, or none.
bool is_port_text(std::string_view text);

/// In brackets if it is an IPv6 address, which is known by its colons.
std::string bracketed_host(std::string_view host);
/// `host:port` or `[v6]:port`.
std::string join_host_port(std::string_view host, std::uint16_t port);

}  // namespace router
