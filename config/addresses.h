#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace router::config {

/// Whether `text` is an IPv4 or IPv6 address (without brackets, without zone).
bool is_ip_address(const std::string& text);
/// Whether `text` is an address, or an address with a prefix length, such as 10.0.0.0/8.
bool is_network(const std::string& text);
/// Whether `text` is a DNS host name without a dot at the end (RFC 1123, section 2.1), or an IPv4 address. `_` is allowed, as
/// in Kubernetes and Docker.
bool is_host_name(std::string_view text);

/// Whether `text` is a Kubernetes name of a namespace, a Service or a port: at most 63 lower-case letters, digits and dashes,
/// neither beginning nor ending with a dash (RFC 1123).
bool is_dns_label(std::string_view text);
/// Whether `text` is a Kubernetes name of any other object: such labels joined by dots, at most 253 characters.
bool is_dns_subdomain(std::string_view text);

struct HostAndPort {
  std::string host;                   // a name, or an address without brackets
  std::optional<std::uint16_t> port;  // 0 to 65535
};
/// Parses `host`, `host:port`, `[v6]` or `[v6]:port`. Returns nullopt for anything else.
std::optional<HostAndPort> parse_host_and_port(std::string_view text);

/// Whether only this machine can reach `host`: 127.0.0.0/8, ::1, localhost. A name that only begins with one of these does not
/// count.
bool is_loopback(const std::string& host);

}  // namespace router::config
